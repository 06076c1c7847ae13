"""Random texts that repeat themselves: what comes next is known to who looks back, and to nobody else."""

import random
from dataclasses import dataclass

from data.sources.synthetic import Synthetic


@dataclass(frozen=True)
class Repeats(Synthetic):
    """A random stretch of letters, again and again, of a length that each document draws anew.

    Were the length the same everywhere, a model could know by the place alone how far to look back (one layer of
    attention learns that); so it has to look for what it has read before (Olsson 2022).

    Attributes:
      count: how many.
      length: letters of a document.
      shortest, longest: lengths of a stretch, all alike likely.
      letters: how many different ones, at most 26.
      seed: of all that is random.

    Raises:
      ValueError: when the alphabet is too large, or a stretch is longer than a document.
    """

    count: int
    length: int
    shortest: int = 8
    longest: int = 24
    letters: int = 26
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.letters <= 26:
            raise ValueError(f"Repeats.letters is {self.letters}, but must be from 2 to 26")
        if not 1 <= self.shortest <= self.longest <= self.length:
            raise ValueError(
                f"Repeats has stretches of {self.shortest} to {self.longest} letters in documents of {self.length}; "
                "the first must be at least 1, and none above the next"
            )

    def text(self, number: int) -> str:
        draw = random.Random(f"{self.seed} {number}")
        period = draw.randint(self.shortest, self.longest)
        stretch = "".join(chr(ord("a") + draw.randrange(self.letters)) for _ in range(period))
        return (stretch * -(-self.length // period))[: self.length]
