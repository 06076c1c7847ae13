"""Weights by group, written into documents, or carried out by leaving some out and repeating others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from data.curation.chance import chance
from data.curation.join import Totals
from data.curation.transform import CorpusTransform, Verdict
from data.curation.weighting.grouping import CountDocuments, Measure
from data.curation.weighting.schemes import Scheme
from data.document import Document

Sizes = Mapping[str, float]


class _Weighing(CorpusTransform):
    """What both transforms do: add up sizes by cell over the corpus."""

    SECTION: ClassVar[str] = "Balance"

    scheme: Scheme
    measure: Measure

    @property
    def join(self) -> Totals:
        return Totals()

    def start_signature(self) -> Callable[[Document], Sizes]:
        return lambda document: {self.scheme.cell(document): self.measure.size(document)}

    def _start_weight(self) -> Callable[[Document, Sizes], float]:
        known: dict[str, Any] = {"sizes": None}

        def weight(document: Document, sizes: Sizes) -> float:
            # All documents come with the same sums.
            if known["sizes"] is not sizes:
                known["sizes"], known["weights"] = sizes, self.scheme.weights(sizes)
            # A cell of nothing but empty texts has no weight.
            return known["weights"].get(self.scheme.cell(document), 1.0)

        return weight


@dataclass(frozen=True)
class Reweight(_Weighing):
    """Writes the weight of each document into its `meta`.

    Attributes:
      scheme: what the weights are to bring about.
      measure: how much each document counts.
      key: of `meta`; a weight that is there already is multiplied.

    Raises, when applied:
      ValueError: when the scheme says nothing of a group.
    """

    scheme: Scheme
    measure: Measure = CountDocuments()
    key: str = "weight"

    def start_apply(self) -> Callable[[Document, Sizes], Verdict]:
        weight = self._start_weight()

        def apply(document: Document, sizes: Sizes) -> Verdict:
            weighed = weight(document, sizes) * float(document.meta.get(self.key, 1.0))
            return Verdict(replace(document, meta={**document.meta, self.key: weighed}))

        return apply


@dataclass(frozen=True)
class Resample(_Weighing):
    """Leaves documents out and repeats others, so that on average each is there as often as it weighs.

    A document of weight 2.3 is there twice, and with a chance of 0.3, by its id, a third time; copies are called
    ID#copy1, ID#copy2, ... The size of the corpus stays as it is on average, unless `most` cuts.

    Attributes:
      scheme: what the weights are to bring about.
      measure: how much each document counts.
      most: a document is there at most so often; 4 repeats are nearly as good as new data (Muennighoff et al. 2023,
        arXiv:2305.16264).
      seed: of the chance.

    Raises:
      ValueError: when `most` is less than 1; when applied, when the scheme says nothing of a group.
    """

    scheme: Scheme
    measure: Measure = CountDocuments()
    most: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"Resample.most is {self.most}, but must be at least 1")

    def start_apply(self) -> Callable[[Document, Sizes], Verdict]:
        weight = self._start_weight()

        def apply(document: Document, sizes: Sizes) -> Verdict:
            times = min(int(weight(document, sizes) + chance(self.seed, document)), self.most)
            if not times:
                return Verdict(None, {"left out to balance": 1})
            if times == 1:
                return Verdict(document)
            copies = [replace(document, id=f"{document.id}#copy{number}") for number in range(1, times)]
            return Verdict(document, {"repeated to balance": times - 1}, added=copies)

        return apply
