"""Plain text, one document per file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from data.document import Document
from data.identity import LOCATION
from data.sources import files
from data.sources.base import BadRecord, Record, Shard, Source

# A shard is work for minutes, not for milliseconds, and its list of names is sent to a worker.
_FILES = 1000


@dataclass(frozen=True)
class TextFiles(Source):
    """UTF-8 text files; a document's id is its file's name within `path`.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      licence, language: what is known of all of them.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    licence: str = "unknown"
    language: str = "unknown"

    def shards(self) -> tuple[Shard, ...]:
        names = list(files.find_files(self.path))
        groups = [tuple(names[i : i + _FILES]) for i in range(0, len(names), _FILES)]
        return tuple(Shard(f"files-{number:05d}", group) for number, group in enumerate(groups))

    def read(self, shard: Shard) -> Iterator[Record]:
        for name in shard.files:
            file = files.within(self.path, name)
            try:
                text = files.decode(file.read_bytes(), str(file))
            except ValueError as error:
                yield BadRecord(str(file), "not UTF-8", str(error))
                continue
            yield Document(
                text=text, id=name, source=os.fspath(self.path), licence=self.licence, language=self.language
            )

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))
