"""Records of JSON, one document per line, compressed or not."""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import zstandard
from etils import epath

from data.document import Document
from data.identity import LOCATION
from data.sources import files
from data.sources.base import BadRecord, Record, Shard, Source

_BAD_ARCHIVE = (gzip.BadGzipFile, zlib.error, zstandard.ZstdError, EOFError)


@dataclass(frozen=True)
class JsonLines(Source):
    """Files with one JSON object per line; `.gz` and `.zst` are decompressed on the way.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      text_field: the key of the text.
      id_field: the key of the id; None numbers them `FILE:LINE`.
      licence, language: what is known of all of them.

    The other keys of a record become the document's `meta`.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    text_field: str = "text"
    id_field: str | None = None
    licence: str = "unknown"
    language: str = "unknown"

    def shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(name, (name,)) for name in files.find_files(self.path))

    def read(self, shard: Shard) -> Iterator[Record]:
        for name in shard.files:
            file = files.within(self.path, name)
            with _lines(file) as lines:
                yield from self._read(name, file, lines)

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))

    def _read(self, name: str, file: epath.Path, lines: Iterator[bytes]) -> Iterator[Record]:
        number = 0
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    place = f"{file}:{number}"
                    try:
                        record: Record = self._parse(line, f"{name}:{number}", place)
                    except ValueError as error:
                        record = BadRecord(place, "not a JSON record", str(error))
                    yield record
        except _BAD_ARCHIVE as error:
            message = f"{file} is damaged after line {number}: {error}"
            yield BadRecord(f"{file}:{number}", "damaged archive", message)

    def _parse(self, line: bytes, default_id: str, place: str) -> Document:
        try:
            record = json.loads(files.decode(line, place))
            if b"\\ud" in line.lower():
                # JSON can escape half a surrogate pair, which is no character and has no UTF-8.
                whole = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
                record = json.loads(whole)
        except json.JSONDecodeError as error:
            raise ValueError(f"{place} is not JSON: {error.msg} at column {error.colno}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{place} is a JSON {type(record).__name__}, but must be an object")
        text = record.pop(self.text_field, None)
        if not isinstance(text, str):
            raise ValueError(
                f"{place} has {text!r} as its {self.text_field!r}, but it must be a string; the"
                f" other keys are {', '.join(record) or 'none'}"
            )
        if self.id_field is not None and self.id_field not in record:
            raise ValueError(
                f"{place} has no {self.id_field!r} for an id; the keys beside the text are"
                f" {', '.join(record) or 'none'}"
            )
        return Document(
            text=text,
            id=default_id if self.id_field is None else str(record.pop(self.id_field)),
            source=os.fspath(self.path),
            licence=self.licence,
            language=self.language,
            meta=record,
        )


@contextmanager
def _lines(file: epath.Path) -> Iterator[Iterator[bytes]]:
    with file.open("rb") as raw, _decompressed(raw, file.suffix) as stream:
        yield iter(stream)


def _decompressed(raw: BinaryIO, suffix: str) -> io.BufferedIOBase:
    if suffix == ".gz":
        return gzip.open(raw)
    if suffix == ".zst":
        # Archives are often made of several frames, one after another.
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader, 1 << 20)
    return io.BufferedReader(raw, 1 << 20) if isinstance(raw, io.RawIOBase) else raw
