"""Filtering by a classifier that was trained to tell good text from any text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data.curation.quality.histogram import bin_of, histogram
from data.curation.quality.keep import KeepRule, ParetoKeep
from data.curation.quality.linear_model import LinearModel
from data.curation.transform import BatchTransform, Verdict
from data.document import Document
from data.pinned_file import PinnedFile
from data.table import Table


@dataclass(frozen=True)
class QualityScore(BatchTransform):
    """Scores documents by a linear classifier, in `meta["quality"]`, and keeps some of them by their score.

    The classifier is one that `python -m data.train_quality` wrote. After Brown et al., 2020 (arXiv:2005.14165),
    appendix A; Li et al., DataComp-LM, 2024 (arXiv:2406.11794), section 4.4, found that a linear model on words
    and pairs of words filters better than larger ones.

    Attributes:
      model: the classifier's file.
      keep: which documents to keep.

    Raises:
      ValueError: at the start, when the file is not the one that was pinned, or no classifier.
    """

    model: PinnedFile
    keep: KeepRule = ParetoKeep()

    def start_batch(self) -> Callable[[Sequence[Document]], Sequence[Verdict]]:
        model = LinearModel.load(self.model.read(), str(self.model.path))

        def judge(document: Document, score: float) -> Verdict:
            if not self.keep.keeps(score, document):
                return Verdict(None, {"quality: low score": 1}, tallies=bin_of(score))
            scored = replace(document, meta={**document.meta, "quality": score})
            return Verdict(scored, tallies=bin_of(score))

        def judge_all(documents: Sequence[Document]) -> list[Verdict]:
            scores = model.scores([document.text for document in documents]) if documents else []
            # Rounded, since the last bits depend on how the machine adds.
            return [judge(*pair) for pair in zip(documents, [round(float(s), 4) for s in scores], strict=True)]

        return judge_all

    def tables(self, report: Mapping[str, Any]) -> Sequence[Table]:
        return histogram("Quality scores", report["tallies"])
