"""Sums modulo a number: every problem there is."""

from dataclasses import dataclass

from data.sources.synthetic import Synthetic

# The numbers from 0 on are written as the characters from here on, so that each is one byte, and none a tab.
FIRST = 31
_MOST = 128 - FIRST


@dataclass(frozen=True)
class ModularArithmetic(Synthetic):
    """The table of left x + right y modulo a number (Power 2022, appendix A.1): a document for each x and y.

    A document is x, y, a tab and the result, of which each is one character.

    Attributes:
      modulus: results are from 0 to one less; at most 97.
      left: factor of x.
      right: factor of y.

    Raises:
      ValueError: when there are no characters for so many numbers.
    """

    modulus: int = 97
    left: int = 1
    right: int = 1

    def __post_init__(self) -> None:
        if not 2 <= self.modulus <= _MOST:
            raise ValueError(f"ModularArithmetic.modulus is {self.modulus}, but must be from 2 to {_MOST}")

    @property
    def count(self) -> int:
        return self.modulus**2

    def text(self, number: int) -> str:
        x, y = divmod(number, self.modulus)
        result = (self.left * x + self.right * y) % self.modulus
        return f"{chr(FIRST + x)}{chr(FIRST + y)}\t{chr(FIRST + result)}"
