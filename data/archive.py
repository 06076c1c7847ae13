"""Curated documents on disk, between the passes that a tokenizer needs over them.

One file of zstandard-compressed JSON lines; `JsonLines` reads it as it reads any other.
"""

import json
from collections.abc import Iterable, Iterator

import zstandard
from etils import epath

from data import atomic
from data.document import Document

# Bytes of compressed text read at a time.
_BLOCK = 1 << 18


def write_documents(path: epath.Path, documents: Iterable[Document]) -> None:
    """Writes the documents, in order, whole or not at all."""
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
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
    """The documents that `write_documents` wrote.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when its bytes are not those that were written.
    """
    number = 0
    try:
        for line in _lines(path):
            yield Document(**json.loads(line))
            number += 1
    except (zstandard.ZstdError, EOFError, UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} is damaged after document {number}: {error}; make it again") from None


def _lines(path: epath.Path) -> Iterator[bytes]:
    """The lines of a file of one frame; the library's own reader takes a file that ends early for a whole one."""
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    rest = b""
    with path.open("rb") as raw:
        while block := raw.read(_BLOCK):
            *lines, rest = (rest + decompressor.decompress(block)).split(b"\n")
            yield from lines
    if not decompressor.eof:
        raise EOFError("the file ends early")
