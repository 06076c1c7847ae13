"""Web pages in files, one document each."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from etils import epath

from data.document import Document
from data.identity import LOCATION
from data.sources import files, streams
from data.sources.base import Record, Shard, Source
from data.sources.columns import too_long
from data.sources.page import read_page


@dataclass(frozen=True)
class HtmlFiles(Source):
    """HTML files as they are, tags and all: what of a page is text is for a transform to say.

    A document's id is its file's name within `path`; its `meta` has the `content_type`, the `encoding`, and how many
    places were `replaced` because they are no text in it. `.gz` and `.zst` are decompressed on the way.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      licence, language: what is known of all of them.
      longest: bytes of a page; a longer one cannot be read, and no more of it is held in memory.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    licence: str = "unknown"
    language: str = "unknown"
    longest: int = 16 << 20

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
            raw = streams.read_whole(stream, self.longest)
        if isinstance(raw, streams.TooLong):
            yield too_long(raw, self.longest, str(file))
            return
        page = read_page(raw)
        yield Document(
            text=page.text,
            id=name,
            source=os.fspath(self.path),
            licence=self.licence,
            language=self.language,
            meta={"content_type": "text/html"} | page.meta(),
        )
