"""Which group a document belongs to, taken from what is known of it: source, language, licence or a key of meta."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from data.document import Document
from data.spec import describe

# What a document is said to be when nothing is known of it, as `Document` says it of language and licence.
MISSING = "unknown"
# Each group is a name in the index, a sum in the training step and a line of metrics: what has more is no grouping.
MOST = 1000
_LONGEST = 100


class GroupBy(abc.ABC):
    """A choice of what documents are grouped by: a frozen dataclass."""

    @abc.abstractmethod
    def value(self, document: Document) -> object:
        """What decides the group; None or an empty string if it is missing."""

    def of(self, document: Document) -> str:
        """The name of the document's group; "unknown" where what decides it is missing.

        Raises:
          ValueError: when what decides it is a list or a mapping, or its name is too long to be one.
        """
        value = self.value(document)
        if value is None or value == "":
            return MISSING
        if not isinstance(value, str | int | float):
            raise ValueError(
                f"document '{document.id}' has {value!r} for {self}, but a group is named by a text, a number or a"
                " boolean; group by another key"
            )
        name = str(value)
        if len(name) > _LONGEST:
            raise ValueError(
                f"document '{document.id}' has a text of {len(name)} characters for {self}, but the name of a group"
                f" has at most {_LONGEST}; group by another key"
            )
        return name


@dataclass(frozen=True)
class BySource(GroupBy):
    """By the name of the source."""

    def value(self, document: Document) -> object:
        return document.source


@dataclass(frozen=True)
class ByLanguage(GroupBy):
    """By the language tag."""

    def value(self, document: Document) -> object:
        return document.language


@dataclass(frozen=True)
class ByLicence(GroupBy):
    """By the licence."""

    def value(self, document: Document) -> object:
        return document.licence


@dataclass(frozen=True)
class ByMeta(GroupBy):
    """By a key of `Document.meta`.

    Attributes:
      key: the key.
    """

    key: str

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("ByMeta.key is empty; name a key of the documents' meta")

    def value(self, document: Document) -> object:
        return document.meta.get(self.key)


def check_count(names: Iterable[str], by: str) -> None:
    """Raises ValueError when documents are in too many groups, by their names."""
    found = sorted(set(names))
    if len(found) > MOST:
        raise ValueError(
            f"{by} gives more than {MOST} groups ({', '.join(map(repr, found[:3]))}, ...); group by what has fewer"
            " values"
        )


def described(recipe: Any) -> dict[str, Any]:
    """A spec with a field `groups` as JSON values; without groups, as it was before there were any."""
    found = describe(recipe, locations=False)
    return found if found["groups"] is not None else {k: v for k, v in found.items() if k != "groups"}
