"""Which groups the tokens of a batch are told apart by: the choices."""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from data.group_stream import GroupStream
from data.packing import RowTable
from data.packing.grouped import GroupedRows, OneGroup
from data.store import TokenStore


@dataclass(frozen=True)
class Grouping(abc.ABC):
    """Groups by name: the batch's `groups` are places among the names.

    Attributes:
      names: of the groups.

    Raises:
      ValueError: when there are no names, or one of them twice.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(
                f"{type(self).__name__}.names is {self.names}; give the name of each group once, and at least one"
            )

    @abc.abstractmethod
    def check(self, stores: Mapping[str, TokenStore]) -> None:
        """Raises ValueError when the groups are not those of the stores, which are given by the names of parts."""

    @abc.abstractmethod
    def table(self, part: str, store: TokenStore, make: Callable[[TokenStore], RowTable]) -> RowTable:
        """Rows with groups.

        Args:
          part: what the store is called in a mixture; empty if it is alone.
          store: the tokens.
          make: makes rows without groups of a stream.
        """


@dataclass(frozen=True)
class MetadataGroups(Grouping):
    """The groups of documents that the token stores keep, whatever they were grouped by.

    All that occur are named, in the order that numbers them, and each occurs in some store.
    """

    def check(self, stores: Mapping[str, TokenStore]) -> None:
        found = {part: store.document_groups()[0] for part, store in stores.items()}
        there = sorted({name for names in found.values() for name in names})
        if set(there) != set(self.names):
            where = ", ".join(str(store.directory) for store in stores.values())
            raise ValueError(
                f"batch.groups names {', '.join(self.names)}, but the documents of {where} have the groups"
                f" {', '.join(there)}; name these"
            )

    def table(self, part: str, store: TokenStore, make: Callable[[TokenStore], RowTable]) -> RowTable:
        return GroupedRows(make(store), make(GroupStream(store, self.names)))


@dataclass(frozen=True)
class PartGroups(Grouping):
    """The parts of a mixture, each of them one group, by their names."""

    def check(self, stores: Mapping[str, TokenStore]) -> None:
        if set(stores) != set(self.names):
            parts = ", ".join(filter(None, stores)) or "one that has no name: the data is no mixture"
            raise ValueError(f"batch.groups names the parts {', '.join(self.names)}, but the parts are {parts}")

    def table(self, part: str, store: TokenStore, make: Callable[[TokenStore], RowTable]) -> RowTable:
        return OneGroup(make(store), self.names.index(part))
