"""How much text there is of each source, licence and language."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from data.document import Document

_COLUMNS = ("source", "licence", "language")
_COUNTS = ("documents", "bytes", "characters")


class Census:
    """Counts documents as they pass by."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], list[int]] = {}

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return sum(group[0] for group in self._groups.values())

    @property
    def bytes(self) -> int:
        """How many bytes their texts have in UTF-8."""
        return sum(group[1] for group in self._groups.values())

    @property
    def characters(self) -> int:
        """How many characters their texts have."""
        return sum(group[2] for group in self._groups.values())

    def count(self, document: Document) -> None:
        """Counts one document."""
        text = document.text
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
        self._add((document.source, document.licence, document.language), (1, size, len(text)))

    def counting(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents, counted on the way."""
        for document in documents:
            self.count(document)
            yield document

    def merge(self, groups: Iterable[Mapping[str, Any]]) -> None:
        """Adds what `to_json` gave of another census."""
        for group in groups:
            self._add(tuple(group[name] for name in _COLUMNS), tuple(group[name] for name in _COUNTS))

    def to_json(self) -> list[dict[str, Any]]:
        """One record for each source, licence and language, the largest first."""
        largest_first = sorted(self._groups.items(), key=lambda item: (-item[1][1], item[0]))
        return [dict(zip((*_COLUMNS, *_COUNTS), (*key, *counts), strict=True)) for key, counts in largest_first]

    def _add(self, key: tuple[str, ...], counts: tuple[int, ...]) -> None:
        group = self._groups.setdefault(key, [0, 0, 0])
        for place, number in enumerate(counts):
            group[place] += number
