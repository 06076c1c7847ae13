"""Texts that a rule makes, the same in every run: problems of which all is known."""

import abc
from collections.abc import Iterator

from data import identity
from data.document import Document
from data.sources.base import Record, Shard, Source
from data.spec import describe

_SHARD = 4096


class Synthetic(Source):
    """A frozen dataclass that makes document after document by number.

    Attributes:
      count: how many documents there are.
    """

    count: int

    @abc.abstractmethod
    def text(self, number: int) -> str:
        """The text of document `number`, from 0; of the number and the spec alone."""

    def shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(f"{first:08d}") for first in range(0, self.count, _SHARD))

    def read(self, shard: Shard) -> Iterator[Record]:
        first, name = int(shard.name), type(self).__name__
        for number in range(first, min(first + _SHARD, self.count)):
            yield Document(self.text(number), f"{name}/{number}", name, licence="CC0-1.0", language="zxx")

    def fingerprint(self) -> str:
        # A change of the rule changes the code, which runs are addressed by, and what this hash is made of.
        return identity.fingerprint([describe(self), self.text(0), self.text(self.count - 1)])
