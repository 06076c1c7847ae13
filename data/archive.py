"""Curated documents on disk, between the passes that a tokenizer needs over them.

One file of zstandard-compressed JSON lines; `JsonLines` reads it as it reads any other.
"""

import json
from collections.abc import Iterable, Iterator

import zstandard
from etils import epath

from data import atomic
from data.document import Document


def write_documents(path: epath.Path, documents: Iterable[Document]) -> None:
    """Writes the documents, in order, whole or not at all."""
    compressor = zstandard.ZstdCompressor(level=3)
    with atomic.writing(path) as raw, compressor.stream_writer(raw, closefd=False) as file:
        for document in documents:
            record = {
                "text": document.text,
                "id": document.id,
                "source": document.source,
                "licence": document.licence,
                "language": document.language,
                "meta": dict(document.meta),
            }
            file.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")


def read_documents(path: epath.Path) -> Iterator[Document]:
    """The documents that `write_documents` wrote."""
    with path.open("rb") as raw, zstandard.open(raw, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield Document(**json.loads(line))
