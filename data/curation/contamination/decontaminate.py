"""Text that a model will be tested on, taken out of what it learns from."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from data.audit.tables import contamination_tables
from data.curation.contamination.evaluation_set import (
    EvaluationSet,
    Examples,
    FixedSize,
    GramSize,
    read_examples,
)
from data.curation.contamination.word_grams import WordGrams
from data.curation.join import Totals
from data.curation.transform import CorpusTransform, Verdict
from data.document import Document
from data.sources.base import Source
from data.table import Table

Spans = Sequence[tuple[int, int]]


class ContaminationAction(abc.ABC):
    """What becomes of a document with text of an evaluation set: a frozen dataclass."""

    @abc.abstractmethod
    def settle(self, document: Document, spans: Spans) -> Verdict:
        """The verdict on a document whose characters in `spans`, in order, are of an evaluation set."""


@dataclass(frozen=True)
class DropContaminated(ContaminationAction):
    """Drops the document."""

    def settle(self, document: Document, spans: Spans) -> Verdict:
        return Verdict(None, {"contaminated": 1})


@dataclass(frozen=True)
class CutOut(ContaminationAction):
    """Cuts the n-grams out with some characters around them, and goes on with what is left as documents of their
    own, called ID#1, ID#2, ... after the first. The numbers are GPT-3's (Brown et al. 2020, appendix C).

    Attributes:
      around: characters cut on either side.
      shortest: pieces of fewer characters are dropped.
      pieces: a document that falls into more is dropped as a whole.

    Raises:
      ValueError: when a number is negative, or `pieces` is less than 1.
    """

    around: int = 200
    shortest: int = 200
    pieces: int = 10

    def __post_init__(self) -> None:
        if self.around < 0 or self.shortest < 0 or self.pieces < 1:
            raise ValueError(f"{self} needs around and shortest of at least 0 and pieces of at least 1")

    def settle(self, document: Document, spans: Spans) -> Verdict:
        text = document.text
        kept, cut, done = [], [], 0
        for start, end in _widened(spans, self.around, len(text)):
            kept.append(text[done:start])
            cut.append(text[start:end])
            done = end
        kept.append(text[done:])
        pieces = [piece for piece in kept if piece]
        if len(pieces) > self.pieces:
            return Verdict(None, {"contaminated all over": 1})
        left = [piece for piece in pieces if len(piece) >= max(self.shortest, 1)]
        if not left:
            return Verdict(None, {"contaminated, too little left": 1})
        first, *others = (
            replace(document, text=piece, id=f"{document.id}#{number}" if number else document.id)
            for number, piece in enumerate(left)
        )
        return Verdict(first, {"contaminated span": len(cut)}, cut, others)


@dataclass(frozen=True)
class Decontaminate(CorpusTransform):
    """Takes text of evaluation sets out of the corpus, by n-grams of words in common, and tells for each set which
    of its examples are found.

    N-grams that occur in many documents are left alone: GPT-3 found common phrases and legal boilerplate among them
    rather than tests (Brown et al. 2020, appendix C: those of more than 10 training documents). All documents
    together decide, so the n-grams that are found are counted over the corpus first.

    Tallies, for each set under `SET/ABOUT/`: "documents" with an n-gram of it, and "example ID", the documents with
    an n-gram of that example; `data.audit.contamination` makes a table of them.

    Attributes:
      sets: what is looked for.
      size: how many words make an n-gram.
      frequent: an n-gram in more documents than this is left alone; 0 for none.
      action: what becomes of a document in which something is found.

    Raises:
      ValueError: when there are no sets, two have the same name, or `frequent` is negative.
    """

    SECTION: ClassVar[str] = "Decontamination"

    sets: tuple[EvaluationSet, ...]
    size: GramSize = FixedSize()
    frequent: int = 10
    action: ContaminationAction = CutOut()

    def __post_init__(self) -> None:
        names = [evaluation_set.name for evaluation_set in self.sets]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Decontaminate.sets is {', '.join(names) or 'empty'}; give sets with different names")
        if self.frequent < 0:
            raise ValueError(f"Decontaminate.frequent is {self.frequent}, but must be at least 0")

    @property
    def join(self) -> Totals:
        return Totals()

    def start_signature(self) -> Callable[[Document], Mapping[str, float]]:
        sets = self._read()

        def signature(document: Document) -> Mapping[str, float]:
            words = WordGrams(document.text)
            found = {gram for examples in sets for gram in examples.found(words)[1].tolist()}
            return {_name(gram): 1.0 for gram in found}

        return signature

    def start_apply(self) -> Callable[[Document, Mapping[str, float]], Verdict]:
        sets = self._read()
        nothing = {f"{examples.title}/documents": 0 for examples in sets}

        def judge(document: Document, documents_with: Mapping[str, float]) -> Verdict:
            words = WordGrams(document.text)
            tallies, spans = dict(nothing), list[tuple[int, int]]()
            places = None
            for examples in sets:
                first, grams = examples.found(words)
                if self.frequent and len(grams):
                    rare = np.array([documents_with.get(_name(gram), 0) <= self.frequent for gram in grams.tolist()])
                    first, grams = first[rare], grams[rare]
                if not len(grams):
                    continue
                places = words.places() if places is None else places
                spans += zip(places[first, 0].tolist(), places[first + examples.n - 1, 1].tolist(), strict=True)
                tallies[f"{examples.title}/documents"] = 1
                tallies |= {f"{examples.title}/example {owner}": 1 for owner in examples.owners(grams)}
            if not spans:
                return Verdict(document, tallies=tallies)
            verdict = self.action.settle(document, _widened(sorted(spans), 0, len(document.text)))
            return replace(verdict, tallies=tallies)

        return judge

    def reads(self) -> Sequence[Source]:
        return [evaluation_set.source for evaluation_set in self.sets]

    def tables(self, report: Mapping[str, Any]) -> Sequence[Table]:
        return contamination_tables(report["tallies"])

    def _read(self) -> list[Examples]:
        return [read_examples(evaluation_set, self.size) for evaluation_set in self.sets]


def _name(gram: int) -> str:
    return f"{gram:016x}"


def _widened(spans: Spans, around: int, length: int) -> list[tuple[int, int]]:
    """Spans in order with more on either side, joined where they meet."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        start, end = max(0, start - around), min(length, end + around)
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
