"""Plain text, one document per file or several."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from etils import epath

from data.document import Document
from data.identity import LOCATION
from data.sources import columns, files, streams
from data.sources.base import Record, Shard, Source
from data.sources.text_units import TextUnit, WholeFile


@dataclass(frozen=True)
class TextFiles(Source):
    """UTF-8 text files; `.gz` and `.zst` are decompressed on the way.

    A document's id is its file's name within `path`, followed by where in it the document is if it is not all of it.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      licence, language: what is known of all of them.
      by: what of a file is a document.
      longest: bytes of a document; a longer one cannot be read, and no more of it is held in memory.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    licence: str = "unknown"
    language: str = "unknown"
    by: TextUnit = WholeFile()
    longest: int = 64 << 20

    def shards(self) -> tuple[Shard, ...]:
        return files.together(self.path)

    def read(self, shard: Shard) -> Iterator[Record]:
        for name in shard.files:
            file = files.within(self.path, name)
            yield from files.guarded(file, self._read(name, file))

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))

    def _read(self, name: str, file: epath.Path) -> Iterator[Record]:
        with streams.opened(file) as stream:
            for where, raw in self.by.divide(stream, self.longest):
                if isinstance(raw, streams.TooLong):
                    yield columns.too_long(raw, self.longest, f"{file}{where}")
                    continue
                try:
                    text = raw.decode("utf-8-sig")
                except UnicodeDecodeError as error:
                    yield columns.not_utf8(raw, error, f"{file}{where}")
                    continue
                yield Document(
                    text=text,
                    id=f"{name}{where}",
                    source=os.fspath(self.path),
                    licence=self.licence,
                    language=self.language,
                )
