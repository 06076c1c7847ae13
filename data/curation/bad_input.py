"""What happens when a source cannot read a record."""

import abc
from dataclasses import dataclass

from data.sources.base import BadRecord


class BadInput(abc.ABC):
    """A choice of what to do with records that cannot be read: a frozen dataclass. They are counted in any case."""

    @abc.abstractmethod
    def meet(self, record: BadRecord) -> None:
        """Raises ValueError when one such record is too many."""

    @abc.abstractmethod
    def settle(self, bad: int, records: int, first: str) -> None:
        """Raises ValueError when `bad` of `records` is too many; `first` describes the first of them."""


@dataclass(frozen=True)
class Refuse(BadInput):
    """The first record that cannot be read ends the work, with its place and what would be right."""

    def meet(self, record: BadRecord) -> None:
        raise ValueError(record.message)

    def settle(self, bad: int, records: int, first: str) -> None:
        pass


@dataclass(frozen=True)
class Skip(BadInput):
    """Records that cannot be read are left out and told of in the report, unless they are more than a share of all.

    Attributes:
      share: the largest share of records that may be bad, in [0, 1].

    Raises:
      ValueError: when `share` is outside.
    """

    share: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"Skip.share is {self.share}, but must be in [0, 1]")

    def meet(self, record: BadRecord) -> None:
        pass

    def settle(self, bad: int, records: int, first: str) -> None:
        if bad > self.share * records:
            raise ValueError(
                f"{bad:,} of {records:,} records cannot be read, more than the share of {self.share:g} that may be"
                f" skipped (Skip.share); the first: {first}"
            )
