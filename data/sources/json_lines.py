"""Records of JSON, one document per line, compressed or not."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from etils import epath

from data.identity import LOCATION
from data.sources import files, streams
from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.columns import Columns, not_utf8, too_long

_SHOWN = 200


@dataclass(frozen=True)
class JsonLines(Source):
    """Files with one JSON object per line; `.gz` and `.zst` are decompressed on the way.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      text_field: the key of the text.
      id_field: the key of the id; None numbers them `FILE:LINE`, or `FILE@BYTE` in a file of several shards.
      licence, language: what is known of all of them.
      licence_field, language_field: the keys of those; where a record has none, that of all holds.
      longest: bytes of a line; a longer one cannot be read, and no more of it is held in memory.
      shard_bytes: a larger file, if not compressed, is read as several shards of this size.

    The other keys of a record become the document's `meta`. Blank lines are none.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    text_field: str = "text"
    id_field: str | None = None
    licence: str = "unknown"
    language: str = "unknown"
    licence_field: str | None = None
    language_field: str | None = None
    longest: int = 64 << 20
    shard_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.longest < 1 or self.shard_bytes < 1:
            raise ValueError(
                f"longest is {self.longest} and shard_bytes {self.shard_bytes}, but both must be at least 1"
            )

    def shards(self) -> tuple[Shard, ...]:
        shards = []
        for name, file in files.find_files(self.path).items():
            if streams.is_packed(file) or (size := file.stat().length) <= self.shard_bytes:
                shards.append(Shard(name, (name,)))
            else:
                starts = range(0, size, self.shard_bytes)
                shards += [Shard(f"{name}@{start}-{start + self.shard_bytes}", (name,)) for start in starts]
        return tuple(shards)

    def read(self, shard: Shard) -> Iterator[Record]:
        (name,) = shard.files
        file = files.within(self.path, name)
        if shard.name == name:
            return files.guarded(file, self._whole(name, file))
        start, end = map(int, shard.name.removeprefix(f"{name}@").split("-"))
        return files.guarded(file, self._range(name, file, start, end))

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))

    def _whole(self, name: str, file: epath.Path) -> Iterator[Record]:
        # A path of etils makes its text anew each time.
        columns, whole = Columns.of(self, os.fspath(self.path)), str(file)
        with streams.opened(file) as stream:
            for number, line in enumerate(streams.lines(stream, self.longest), start=1):
                if record := self._record(line, columns, f"{name}:{number}", f"{whole}:{number}"):
                    yield record

    def _range(self, name: str, file: epath.Path, start: int, end: int) -> Iterator[Record]:
        """The lines that begin in a range of bytes, so that each line belongs to one range."""
        columns, whole = Columns.of(self, os.fspath(self.path)), str(file)
        before = max(start - 1, 0)
        with streams.opened(file, before) as stream:
            at = start and before + streams.pass_over(stream)
            for line in streams.lines(stream, self.longest):
                if at >= end:
                    return
                if record := self._record(line, columns, f"{name}@{at}", f"{whole}@{at}"):
                    yield record
                at += line.size if isinstance(line, streams.TooLong) else len(line)

    def _record(self, line: bytes | streams.TooLong, columns: Columns, default_id: str, place: str) -> Record | None:
        """The record of a line; None for a blank one."""
        if isinstance(line, streams.TooLong):
            return too_long(line, self.longest, place)
        if line.isspace():
            return None
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return not_utf8(line, error, place)
        try:
            record = json.loads(text)
            if "\\ud" in text or "\\uD" in text:
                # JSON can escape half a surrogate pair, which is no character and has no UTF-8.
                whole = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
                record = json.loads(whole)
        except json.JSONDecodeError as error:
            message = f"{place} is not JSON: {error.msg} at column {error.colno}"
            return BadRecord(place, "not JSON", message, text[:_SHOWN])
        except (ValueError, RecursionError) as error:
            # A number of thousands of digits, or brackets in brackets as deep as Python's stack.
            return BadRecord(place, "JSON beyond limits", f"{place} is no JSON to read: {error}", text[:_SHOWN])
        if not isinstance(record, dict):
            message = f"{place} is a JSON {type(record).__name__}, but must be an object"
            return BadRecord(place, "not an object", message, text[:_SHOWN])
        return columns.document(record, default_id, place)
