"""Documents as curation leaves them: records that say for themselves what they are."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from etils import epath

from data.archive import read_documents
from data.identity import LOCATION
from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.json_lines import JsonLines

# What a worker may lose to a kill, and how long progress is silent, is a shard: less than what a source cuts by itself.
_SHARD_BYTES = 128 << 20
_OWN = ("id", "source", "licence", "language")


@dataclass(frozen=True)
class CuratedDocuments(Source):
    """A curated corpus, a shard a file; or files of JSON lines with records like its own, large ones in several shards.

    A record has a `text`; its `id`, `source`, `licence`, `language` and `meta` are kept where it has them as text and
    mapping, and its other keys join `meta`.

    Attributes:
      path: the directory that `python -m data.curate` wrote, or a file, directory or glob of JSON lines; local or on
        `gs://`.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)

    def shards(self) -> tuple[Shard, ...]:
        if not self.is_corpus():
            return self._lines().shards()
        return tuple(Shard(entry["name"]) for entry in self._entries())

    def read(self, shard: Shard) -> Iterator[Record]:
        if not self.is_corpus():
            yield from map(_lifted, self._lines().read(shard))
            return
        path = epath.Path(self.path) / "documents" / shard.name
        try:
            yield from read_documents(path)
        except ValueError as error:
            yield BadRecord(str(path), "damaged archive", str(error))

    def fingerprint(self) -> str:
        if not self.is_corpus():
            return self._lines().fingerprint()
        digest = hashlib.sha256()
        for entry in self._entries():
            digest.update(f"{entry['name']} {entry['sha256']}\n".encode())
        return digest.hexdigest()

    def is_corpus(self) -> bool:
        """Whether it is a curated corpus rather than files of JSON lines."""
        return (epath.Path(self.path) / "curated.json").exists()

    def _entries(self) -> list[Mapping[str, str]]:
        # Curation reads sources, so its module is known only once this one is.
        from data.curation.curation import CuratedCorpus

        corpus = CuratedCorpus.open(self.path)
        # Names are made anew rather than read, so that no marker can point outside its directory.
        return [
            {**entry, "name": path.name} for entry, path in zip(corpus.marker["shards"], corpus.paths(), strict=True)
        ]

    def _lines(self) -> JsonLines:
        return JsonLines(self.path, shard_bytes=_SHARD_BYTES)


def _lifted(record: Record) -> Record:
    """A record of JSON lines with what it says of itself in the places for that."""
    if isinstance(record, BadRecord):
        return record
    meta = dict(record.meta)
    own = {name: meta.pop(name) for name in _OWN if isinstance(meta.get(name), str) and meta[name]}
    if isinstance(meta.get("meta"), Mapping):
        meta |= meta.pop("meta")
    return dataclasses.replace(record, **own, meta=meta)
