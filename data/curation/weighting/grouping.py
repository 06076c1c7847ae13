"""Which group a document is of, and how much it counts there."""

import abc
from dataclasses import dataclass

from data.document import Document


class Grouping(abc.ABC):
    """A way to part a corpus: a frozen dataclass."""

    @abc.abstractmethod
    def group(self, document: Document) -> str:
        """The group of a document."""


@dataclass(frozen=True)
class ByLanguage(Grouping):
    """By language."""

    def group(self, document: Document) -> str:
        return document.language


@dataclass(frozen=True)
class BySource(Grouping):
    """By the name of the source."""

    def group(self, document: Document) -> str:
        return document.source


@dataclass(frozen=True)
class ByLicence(Grouping):
    """By licence, as it is written."""

    def group(self, document: Document) -> str:
        return document.licence


@dataclass(frozen=True)
class ByMeta(Grouping):
    """By a value that the source or a transform has put into `meta`; "none" where there is none.

    Attributes:
      key: of the value.
    """

    key: str

    def group(self, document: Document) -> str:
        return str(document.meta.get(self.key, "none"))


class Measure(abc.ABC):
    """How much a document counts: a frozen dataclass."""

    @abc.abstractmethod
    def size(self, document: Document) -> float:
        """How much this one counts, at least 0."""


@dataclass(frozen=True)
class CountDocuments(Measure):
    """Each document counts 1."""

    def size(self, document: Document) -> float:
        return 1.0


@dataclass(frozen=True)
class CountCharacters(Measure):
    """Each character counts 1."""

    def size(self, document: Document) -> float:
        return float(len(document.text))
