"""A random share of another source's documents."""

from collections.abc import Iterator
from dataclasses import dataclass

from data.document import Document
from data.identity import fingerprint
from data.sources.base import Record, Shard, Source


@dataclass(frozen=True)
class Share(Source):
    """Documents whose chance, a number in [0, 1) that follows from what they are called, lies between two others.

    Shares of one source that do not overlap have no document in common, and each is of all kinds of them.

    Attributes:
      of: the other source.
      low: the lowest chance.
      high: the first that is too high; 1 takes all above `low`.
      seed: gives documents other chances.

    Raises:
      ValueError: when the ends are not in [0, 1], the first below the second.
    """

    of: Source
    low: float = 0.0
    high: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(f"Share is from {self.low} to {self.high}; it is in [0, 1], the first below the second")

    def shards(self) -> tuple[Shard, ...]:
        return self.of.shards()

    def read(self, shard: Shard) -> Iterator[Record]:
        # Curation reads sources, so its module is known only once this one is.
        from data.curation.chance import chance

        for record in self.of.read(shard):
            if not isinstance(record, Document) or self.low <= chance(self.seed, record) < self.high:
                yield record

    def fingerprint(self) -> str:
        return fingerprint([self.of.fingerprint(), self.low, self.high, self.seed])
