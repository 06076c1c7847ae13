"""Tables in Parquet."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from etils import epath

from data.identity import LOCATION
from data.sources import files, streams
from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.columns import Columns

# What a batch of rows should come to, decompressed. A batch is the least that is held; a file tells how large its
# rows are on average only.
_BATCH_BYTES = 16 << 20
_BATCH_ROWS = 1024


@dataclass(frozen=True)
class Parquet(Source):
    """Parquet files, a document for each row, read in small batches of the columns that are wanted.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      text_field: the column of the text.
      id_field: the column of the id; None numbers them `FILE:ROW`, counted from 1.
      licence, language: what is known of all of them.
      licence_field, language_field: the columns of those; where a row has none, that of all holds.
      meta: the columns that become the document's `meta`; None takes all the others.
      shard_bytes: a larger file is read as one shard for each of its row groups.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    text_field: str = "text"
    id_field: str | None = None
    licence: str = "unknown"
    language: str = "unknown"
    licence_field: str | None = None
    language_field: str | None = None
    meta: tuple[str, ...] | None = None
    shard_bytes: int = 1 << 30

    def shards(self) -> tuple[Shard, ...]:
        shards = []
        for name, file in files.find_files(self.path).items():
            groups = self._groups(file) if file.stat().length > self.shard_bytes else 1
            shards += [Shard(f"{name}@{group:05d}", (name,)) for group in range(groups)] if groups > 1 else []
            shards += [Shard(name, (name,))] if groups <= 1 else []
        return tuple(shards)

    def read(self, shard: Shard) -> Iterator[Record]:
        (name,) = shard.files
        file = files.within(self.path, name)
        group = None if shard.name == name else int(shard.name.removeprefix(f"{name}@"))
        return files.guarded(file, self._read(name, file, group))

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))

    def _groups(self, file: epath.Path) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with streams.opened(file) as stream, pq.ParquetFile(stream) as table:
                return table.num_row_groups
        except (pa.ArrowException, *streams.read_errors()):
            # Reading it will say what is wrong.
            return 1

    def _read(self, name: str, file: epath.Path, only: int | None) -> Iterator[Record]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = Columns.of(self, os.fspath(self.path))
        number = 0
        with streams.opened(file) as stream:
            try:
                # A buffer makes it read pages as they are needed rather than a column of a row group at once.
                reading = {"buffer_size": 1 << 20, "pre_buffer": False, "page_checksum_verification": True}
                with pq.ParquetFile(stream, **reading) as table:
                    names = table.schema_arrow.names
                    wanted = list(dict.fromkeys([*columns.named, *(names if self.meta is None else self.meta)]))
                    if missing := [name for name in wanted if name not in names]:
                        message = f"{file} has no column {missing[0]!r}; it has {', '.join(names)}"
                        yield BadRecord(str(file), "no such column", message)
                        return
                    if twice := sorted(name for name in wanted if names.count(name) > 1):
                        message = f"{file} has more than one column {twice[0]!r}"
                        yield BadRecord(str(file), "column named twice", message)
                        return
                    sizes = [table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)]
                    for group in range(len(sizes)) if only is None else [only]:
                        number = sum(sizes[:group])
                        for row in _rows(table, group, wanted):
                            number += 1
                            yield columns.document(row, f"{name}:{number}", f"{file}:{number}")
            except pa.ArrowException as error:
                problem = "damaged file" if number else "not Parquet"
                message = f"{file} is given up after row {number}: {problem}, {error}"
                yield BadRecord(f"{file}:{number}", problem, message)


def _rows(table: Any, group: int, names: list[str]) -> Iterator[dict[str, Any]]:
    described = table.metadata.row_group(group)
    average = described.total_byte_size // max(described.num_rows, 1)
    at_once = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(average, 1)))
    for batch in table.iter_batches(at_once, row_groups=[group], columns=names, use_threads=False):
        values = [_values(batch.column(name)) for name in names]
        for row in zip(*values, strict=True):
            yield dict(zip(names, row, strict=True))


def _values(column: Any) -> list[Any]:
    """A column as Python's values; strings that are not UTF-8, which the format does not rule out, as bytes."""
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(item) for item in column]


def _value(item: Any) -> Any:
    try:
        return item.as_py()
    except UnicodeDecodeError:
        return item.as_buffer().to_pybytes() if hasattr(item, "as_buffer") else None
