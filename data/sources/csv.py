"""Tables of text with delimiters: CSV, TSV."""

import csv
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
class Csv(Source):
    """Files of rows, one document each; `.gz` and `.zst` are decompressed on the way.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      text_field: the column of the text.
      id_field: the column of the id; None numbers them `FILE:LINE` by the first line of the row.
      licence, language: what is known of all of them.
      licence_field, language_field: the columns of those; where a row has none, that of all holds.
      delimiter: what stands between values, such as "\\t".
      quote: what stands around a value that holds delimiters or ends of lines; None where quotes are text.
      header: the names of the columns in files that do not begin with them.
      longest: bytes of a row; a longer one cannot be read, and no more of it is held in memory.

    The other columns become the document's `meta`. Blank lines are no rows.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    text_field: str = "text"
    id_field: str | None = None
    licence: str = "unknown"
    language: str = "unknown"
    licence_field: str | None = None
    language_field: str | None = None
    delimiter: str = ","
    quote: str | None = '"'
    header: tuple[str, ...] | None = None
    longest: int = 64 << 20

    def __post_init__(self) -> None:
        for name, value in (("delimiter", self.delimiter), ("quote", self.quote)):
            if value is not None and (len(value) != 1 or value in "\r\n"):
                raise ValueError(f"{name} is {value!r}, but must be one character within a line")

    def shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(name, (name,)) for name in files.find_files(self.path))

    def read(self, shard: Shard) -> Iterator[Record]:
        (name,) = shard.files
        file = files.within(self.path, name)
        return files.guarded(file, self._read(name, file))

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))

    def _read(self, name: str, file: epath.Path) -> Iterator[Record]:
        columns = Columns.of(self, os.fspath(self.path))
        header = self.header
        with streams.opened(file) as stream:
            for line, row in self._rows(stream):
                place = f"{file}:{line}"
                if isinstance(row, streams.TooLong):
                    yield too_long(row, self.longest, place)
                    continue
                if isinstance(row, csv.Error):
                    yield BadRecord(place, "not CSV", f"{place} is no row of the table: {row}")
                    continue
                shown = self.delimiter.join(row)
                try:
                    shown.encode("utf-8")
                except UnicodeEncodeError:
                    raw = shown.encode("utf-8", "surrogateescape")
                    yield _not_utf8(raw, place)
                    continue
                if header is None:
                    header = tuple(row)
                    if problem := _wrong_header(header, columns, place):
                        # Without the names, nothing that follows has a meaning.
                        yield problem
                        return
                elif len(row) != len(header):
                    message = f"{place} has {len(row)} values, but the header names {len(header)} columns"
                    yield BadRecord(place, "ragged row", message, shown[:_SHOWN])
                else:
                    yield columns.document(dict(zip(header, row, strict=True)), f"{name}:{line}", place)

    def _rows(self, stream: Iterator[bytes]) -> Iterator[tuple[int, list[str] | streams.TooLong | csv.Error]]:
        """Rows with the number of their first line; bytes that are not UTF-8 stand in them as surrogates."""
        # The limit is one for the process. It is raised only: what bounds a row here is its lines.
        csv.field_size_limit(max(csv.field_size_limit(), self.longest))
        lines = _Lines(stream, self.longest)
        quoting = csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL
        reader = csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, quoting=quoting, strict=True)
        while True:
            first = lines.next_row()
            try:
                row: list[str] | streams.TooLong | csv.Error = next(reader)
            except StopIteration:
                return
            except _RowTooLong as error:
                row = error.found
            except csv.Error as error:
                row = error
            if row != []:
                yield first, row


class _RowTooLong(Exception):
    def __init__(self, found: streams.TooLong) -> None:
        super().__init__()
        self.found = found


class _Lines:
    """Lines for a reader of rows, which may go on after an error; a row is too long with its lines together."""

    def __init__(self, stream: Iterator[bytes], longest: int) -> None:
        self._lines = streams.lines(stream, longest)
        self._longest = longest
        self._number = 0
        self._size = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        if isinstance(line, streams.TooLong):
            raise _RowTooLong(line)
        self._size += len(line)
        if self._size > self._longest + 2:
            raise _RowTooLong(streams.TooLong(self._size, line[:_SHOWN]))
        return line.removeprefix(b"\xef\xbb\xbf" if self._number == 1 else b"").decode("utf-8", "surrogateescape")

    def next_row(self) -> int:
        """Starts a row and gives the number of the line that it will begin in."""
        self._size = 0
        return self._number + 1


def _not_utf8(raw: bytes, place: str) -> BadRecord:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return not_utf8(raw, error, place)
    raise AssertionError("surrogates stand for bytes that are not UTF-8")


def _wrong_header(header: tuple[str, ...], columns: Columns, place: str) -> BadRecord | None:
    if missing := [name for name in columns.named if name not in header]:
        message = f"{place} has no column {missing[0]!r}; it has {', '.join(header)}"
        return BadRecord(place, "no such column", message)
    if twice := {name for name in header if header.count(name) > 1}:
        return BadRecord(place, "column named twice", f"{place} names the column {min(twice)!r} twice")
    return None
