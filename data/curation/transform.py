"""Transforms of documents: what becomes of one document, judged alone, among a few, or among all.

A transform is a frozen dataclass. What it remembers while it runs lives in what its `start` methods return, so
that one spec can serve any number of workers. Counting is not its business: `data.curation.chain` does it for all.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from data.curation.join import Join
from data.document import Document
from data.sources.base import Source
from data.table import Table


@dataclass(frozen=True)
class Verdict:
    """What a transform decided about one document.

    Attributes:
      document: the document to go on with, or None to drop it.
      reasons: why it was changed or dropped, and how often each reason applied.
      removed: pieces of its text that were dropped, in the form in which the account may show them; a dropped
        document with none is shown as it begins.
      added: further documents made from it, which follow it; counted apart.
      tallies: what was counted in it, by name, for an audit; summed over the corpus.
    """

    document: Document | None
    reasons: Mapping[str, int] = field(default_factory=dict)
    removed: Sequence[str] = ()
    added: Sequence[Document] = ()
    tallies: Mapping[str, int] = field(default_factory=dict)


class Transform(abc.ABC):  # noqa: B024 - the root of three kinds
    """A choice of what to change, drop, add or count: a frozen dataclass of one of the kinds below.

    Attributes:
      SECTION: under which heading of the data card its account stands.
    """

    SECTION: ClassVar[str] = "Rules"

    def reads(self) -> Sequence[Source]:
        """What it reads beside the documents that it judges; the outcome depends on what these sources hold."""
        return ()

    def tables(self, report: Mapping[str, Any]) -> Sequence[Table]:
        """What its tallies and reasons say, for the data card; `report` is its account as JSON values."""
        return ()


class DocumentTransform(Transform):
    """Judges a document by itself."""

    @abc.abstractmethod
    def start(self) -> Callable[[Document], Verdict]:
        """A function from a document to what becomes of it; the same whatever was judged before."""


class BatchTransform(Transform):
    """Judges each document by itself, but many are judged faster at once."""

    @abc.abstractmethod
    def start_batch(self) -> Callable[[Sequence[Document]], Sequence[Verdict]]:
        """A function from documents to what becomes of each, in their order; the same however they are grouped."""


class CorpusTransform(Transform):
    """Judges a document by all documents of the corpus.

    Each document gives a signature; a join of all signatures finds something out about each document; with that
    finding the document is judged. The three parts know nothing of one another but this, so that the join can run
    in one process or as a distributed pipeline.
    """

    @property
    @abc.abstractmethod
    def join(self) -> Join:
        """How signatures are joined; it says what a signature and a finding are."""

    @abc.abstractmethod
    def start_signature(self) -> Callable[[Document], Any]:
        """A function from a document to its signature."""

    @abc.abstractmethod
    def start_apply(self) -> Callable[[Document, Any], Verdict]:
        """A function from a document and what was found out about it to what becomes of it."""

    def earlier(self) -> Source | None:
        """Documents that come before all others in the join and are no part of the outcome, or None."""
        return None

    def reads(self) -> Sequence[Source]:
        earlier = self.earlier()
        return (earlier,) if earlier else ()
