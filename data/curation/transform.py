"""Transforms of documents, and the stream through a list of them."""

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data.curation.report import CurationReport, TransformReport
from data.document import Document
from data.spec import describe


@dataclass(frozen=True)
class Verdict:
    """What a transform decided about one document.

    Attributes:
      document: the document to go on with, or None to drop it.
      reasons: why it was changed or dropped, and how often each reason applied.
      removed: pieces of its text that were dropped; a dropped document counts by itself.
    """

    document: Document | None
    reasons: Mapping[str, int] = field(default_factory=dict)
    removed: Sequence[str] = ()


class Transform(abc.ABC):
    """A choice of what to change or drop: a frozen dataclass.

    What it remembers between documents lives in what `start` returns, so that one spec can serve
    any number of runs. Counting is not its business: `curate` does it for all alike.
    """

    @abc.abstractmethod
    def start(self) -> Callable[[Document], Verdict]:
        """A fresh function from a document to what becomes of it."""


class Curated:
    """The documents that transforms let through, streamed; `report` counts as it goes."""

    def __init__(self, documents: Iterable[Document], transforms: Sequence[Transform]) -> None:
        self.report = CurationReport([TransformReport(describe(t, locations=False)) for t in transforms])
        self._stages = [t.start() for t in transforms]
        self._documents = iter(documents)

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        for document in self._documents:
            self.report.documents_in += 1
            self.report.characters_in += len(document.text)
            kept = self._through(document)
            if kept is not None:
                self.report.documents_out += 1
                self.report.characters_out += len(kept.text)
                return kept
        raise StopIteration

    def _through(self, document: Document) -> Document | None:
        for stage, report in zip(self._stages, self.report.transforms, strict=True):
            verdict = stage(document)
            _count(report, document, verdict)
            if verdict.document is None:
                return None
            document = verdict.document
        return document


def curate(documents: Iterable[Document], transforms: Sequence[Transform]) -> Curated:
    """Streams `documents` through `transforms`, in order, holding one at a time.

    Returns:
      An iterator of the documents that are left, whose `report` holds the counts so far.
    """
    return Curated(documents, transforms)


def _count(report: TransformReport, document: Document, verdict: Verdict) -> None:
    report.seen += 1
    report.characters_in += len(document.text)
    for reason, times in verdict.reasons.items():
        report.reasons[reason] = report.reasons.get(reason, 0) + times
    reason = ", ".join(verdict.reasons)
    if verdict.document is None:
        report.dropped += 1
        report.add_sample(document.id, reason, document.text)
        return
    report.changed += verdict.document.text != document.text
    report.characters_out += len(verdict.document.text)
    for removed in verdict.removed:
        report.add_sample(document.id, reason, removed)
