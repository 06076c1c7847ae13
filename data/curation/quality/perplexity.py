"""Filtering by how well a language model predicts a document."""

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from data.curation.quality.histogram import bin_of, histogram
from data.curation.transform import BatchTransform, Verdict
from data.document import Document
from data.table import Table

Score = Callable[[Sequence[str]], Float64[np.ndarray, " texts"]]


class Scorer(abc.ABC):
    """A choice of language model: a frozen dataclass. `experiments.scorer` has those of this project's runs."""

    @abc.abstractmethod
    def start(self) -> Score:
        """Loads the model: a function from texts to the bits with which it encodes a byte of each.

        Texts are never empty, and one scores the same whatever others it comes with.

        Raises:
          OSError, ValueError: when it cannot be loaded.
        """


@dataclass(frozen=True)
class Between:
    """Keeps what lies between two values, both included; None is no limit.

    Raises:
      ValueError: when the lowest is above the highest.
    """

    lowest: float | None = None
    highest: float | None = None

    def __post_init__(self) -> None:
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError(f"Between.lowest is {self.lowest}, but highest is {self.highest}")


@dataclass(frozen=True)
class Perplexity(BatchTransform):
    """Writes the bits per byte that a model needs for a document to `meta["bits_per_byte"]`, and keeps a range.

    Text that surprises a model of good text is likely bad, and text that hardly does is likely boilerplate
    (Wenzek et al., CCNet, 2020, arXiv:1911.00359, by perplexity a token; bits per byte do not depend on the
    tokenizer). CCNet cuts at percentiles: a first curation without limits shows them in the data card, by tenths of
    a bit.

    Attributes:
      scorer: the model.
      keep: which bits per byte to keep.
      characters: how many of the first characters are scored; None for all.

    Raises:
      ValueError: when `characters` is less than 1.
    """

    scorer: Scorer
    keep: Between = Between()
    characters: int | None = 8000

    def __post_init__(self) -> None:
        if self.characters is not None and self.characters < 1:
            raise ValueError(f"Perplexity.characters is {self.characters}, but must be at least 1, or none")

    def start_batch(self) -> Callable[[Sequence[Document]], Sequence[Verdict]]:
        score = self.scorer.start()
        lowest = -math.inf if self.keep.lowest is None else self.keep.lowest
        highest = math.inf if self.keep.highest is None else self.keep.highest

        def judge(document: Document, bits: float) -> Verdict:
            if not math.isfinite(bits):
                return Verdict(None, {"perplexity: no finite score": 1})
            if bits < lowest:
                return Verdict(None, {"perplexity: too low": 1}, tallies=bin_of(bits))
            if bits > highest:
                return Verdict(None, {"perplexity: too high": 1}, tallies=bin_of(bits))
            return Verdict(replace(document, meta={**document.meta, "bits_per_byte": bits}), tallies=bin_of(bits))

        def judge_all(documents: Sequence[Document]) -> list[Verdict]:
            texts = [document.text[: self.characters] for document in documents if document.text]
            scores = iter(score(texts).tolist() if texts else [])
            # Rounded, since the last bits depend on how the machine adds.
            return [
                judge(document, round(next(scores), 4)) if document.text else Verdict(None, {"empty": 1})
                for document in documents
            ]

        return judge_all

    def tables(self, report: Mapping[str, Any]) -> Sequence[Table]:
        return histogram("Bits per byte", report["tallies"])
