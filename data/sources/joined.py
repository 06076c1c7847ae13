"""Several sources as one."""

from collections.abc import Iterator
from dataclasses import dataclass

from data.identity import fingerprint
from data.sources.base import Record, Shard, Source


@dataclass(frozen=True)
class Joined(Source):
    """The documents of one source after those of another; each keeps its own source, licence and language.

    Attributes:
      sources: at least one. A shard is named as there, after the number of its source: "0/a.jsonl".
    """

    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources is empty, but must name at least one source")

    def shards(self) -> tuple[Shard, ...]:
        return tuple(
            Shard(f"{number}/{shard.name}", shard.files)
            for number, source in enumerate(self.sources)
            for shard in source.shards()
        )

    def read(self, shard: Shard) -> Iterator[Record]:
        number, _, name = shard.name.partition("/")
        return self.sources[int(number)].read(Shard(name, shard.files))

    def fingerprint(self) -> str:
        return fingerprint([source.fingerprint() for source in self.sources])
