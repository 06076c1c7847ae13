"""A run of transforms that judge documents without knowing the others, with the account of what they did."""

from collections.abc import Callable, Sequence
from typing import Any

from data.curation.account import TransformReport, add_counts
from data.curation.transform import BatchTransform, CorpusTransform, DocumentTransform, Transform, Verdict
from data.document import Document
from data.spec import describe

Judge = Callable[[Sequence[Document]], Sequence[Verdict]]


class Chain:
    """Sends documents through transforms, in order, and counts in `reports` what each did.

    Args:
      transforms: transforms that judge a document alone.
      applied: a transform of the whole corpus whose findings are at hand; it comes first.
    """

    def __init__(self, transforms: Sequence[Transform], applied: CorpusTransform | None = None) -> None:
        everything = [*([applied] if applied else []), *transforms]
        self.reports = [TransformReport(describe(t, locations=False)) for t in everything]
        self._apply = applied.start_apply() if applied else None
        self._judges = [_judge(transform) for transform in transforms]

    def feed(self, documents: Sequence[Document], findings: Sequence[Any] = ()) -> list[Document]:
        """What is left of these documents, in their order, each followed by what was made from it.

        Args:
          documents: some documents.
          findings: what the join of `applied` found out about each.
        """
        reports = iter(self.reports)
        current = list(documents)
        if self._apply:
            verdicts = [self._apply(*pair) for pair in zip(current, findings, strict=True)]
            current = _carry_out(next(reports), current, verdicts)
        for judge, report in zip(self._judges, reports, strict=True):
            current = _carry_out(report, current, judge(current))
        return current


def _judge(transform: Transform) -> Judge:
    if isinstance(transform, BatchTransform):
        return transform.start_batch()
    if isinstance(transform, DocumentTransform):
        alone = transform.start()
        return lambda documents: [alone(document) for document in documents]
    raise TypeError(f"{transform} judges documents by the whole corpus, which is joined between two chains")


def _carry_out(
    report: TransformReport, documents: Sequence[Document], verdicts: Sequence[Verdict]
) -> list[Document]:
    left: list[Document] = []
    for document, verdict in zip(documents, verdicts, strict=True):
        _count(report, document, verdict)
        if verdict.document is not None:
            left.append(verdict.document)
        left += verdict.added
    return left


def _count(report: TransformReport, document: Document, verdict: Verdict) -> None:
    kept = verdict.document
    report.seen += 1
    report.characters_in += len(document.text)
    report.added += len(verdict.added)
    report.characters_out += sum(len(added.text) for added in verdict.added)
    add_counts(report.tallies, verdict.tallies)
    if kept is not None:
        report.characters_out += len(kept.text)
        report.changed += kept is not document and kept != document
    else:
        report.dropped += 1
    if not verdict.reasons:
        return
    add_counts(report.reasons, verdict.reasons)
    reason = ", ".join(verdict.reasons)
    if kept is None and not verdict.removed:
        report.samples.add(document.id, reason, document.text)
    for removed in verdict.removed:
        report.samples.add(document.id, reason, removed)
