"""What becomes of a document by its score."""

import abc
import hashlib
from dataclasses import dataclass

from data.document import Document


class KeepRule(abc.ABC):
    """A choice of which scores in [0, 1] to keep: a frozen dataclass."""

    @abc.abstractmethod
    def keeps(self, score: float, document: Document) -> bool:
        """Whether to keep a document of this score; always the same for the same document."""


@dataclass(frozen=True)
class AtLeast(KeepRule):
    """Keeps scores of at least `threshold`; with 0 all, for their scores alone.

    Raises:
      ValueError: when `threshold` is outside of [0, 1].
    """

    threshold: float

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"AtLeast.threshold is {self.threshold}, but must be in [0, 1]")

    def keeps(self, score: float, document: Document) -> bool:
        return score >= self.threshold


@dataclass(frozen=True)
class ParetoKeep(KeepRule):
    """Keeps a document where a draw from a Pareto distribution exceeds 1 - score: most of the good, and some others.

    Brown et al., Language models are few-shot learners, 2020 (arXiv:2005.14165), appendix A, which keeps where
    `np.random.pareto(9) > 1 - score`. Here the draw follows from the document's id, and `seed`, by a hash. A score s
    is kept with probability (2 - s)^-alpha.

    Attributes:
      alpha: the shape of the distribution; the larger, the fewer documents of low scores.
      seed: another one draws anew.

    Raises:
      ValueError: when `alpha` is not above 0.
    """

    alpha: float = 9.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ValueError(f"ParetoKeep.alpha is {self.alpha}, but must be above 0")

    def keeps(self, score: float, document: Document) -> bool:
        name = f"{self.seed}\0{document.source}\0{document.id}".encode()
        # A number in (0, 1], so that the root below stays finite.
        uniform = (int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) + 1) / 2**64
        return uniform ** (-1 / self.alpha) - 1 > 1 - score
