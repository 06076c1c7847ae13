"""How much text there is of each source, licence and language."""

from collections.abc import Iterable, Iterator
from typing import Any

from data.document import Document


class Census:
    """Counts documents as they pass by."""

    def __init__(self) -> None:
        self.documents = 0
        self.bytes = 0
        self._groups: dict[tuple[str, str, str], list[int]] = {}

    def counting(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents, counted on the way."""
        for document in documents:
            size = len(document.text.encode("utf-8"))
            key = (document.source, document.licence, document.language)
            group = self._groups.setdefault(key, [0, 0])
            group[0] += 1
            group[1] += size
            self.documents += 1
            self.bytes += size
            yield document

    def to_json(self) -> list[dict[str, Any]]:
        """One record for each source, licence and language, the largest first."""
        largest_first = sorted(self._groups.items(), key=lambda item: (-item[1][1], item[0]))
        columns = ("source", "licence", "language", "documents", "bytes")
        return [dict(zip(columns, (*key, *counts), strict=True)) for key, counts in largest_first]
