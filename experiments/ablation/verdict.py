"""What a study comes to: reproduced, not reproduced, or inconclusive and how many seeds are lacking; nothing else."""

import dataclasses
from collections.abc import Mapping
from typing import Any


class Verdict:
    """One of three: `Reproduced`, `NotReproduced`, `Inconclusive`.

    Raises TypeError for a fourth.
    """

    word: str

    def __init_subclass__(cls, **options: Any) -> None:
        if cls.__module__ != __name__:
            raise TypeError(f"{cls.__name__} is no verdict; there are Reproduced, NotReproduced and Inconclusive")
        super().__init_subclass__(**options)

    def __new__(cls, *arguments: Any, **keywords: Any) -> "Verdict":
        """One of the three."""
        if cls is Verdict:
            raise TypeError("a verdict is Reproduced, NotReproduced or Inconclusive")
        return super().__new__(cls)


@dataclasses.dataclass(frozen=True)
class Reproduced(Verdict):
    """The claim holds here too."""

    word = "reproduced"

    def __str__(self) -> str:
        return self.word


@dataclasses.dataclass(frozen=True)
class NotReproduced(Verdict):
    """Here the claim does not hold: the data contradict it."""

    word = "not reproduced"

    def __str__(self) -> str:
        return self.word


# More seeds than this are told as "more than": another design is called for.
MOST_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class Inconclusive(Verdict):
    """The data do not tell.

    Attributes:
      seeds: more of them than there were would be needed, by power analysis; at least 1, at most `MOST_SEEDS`.
    """

    seeds: int
    word = "inconclusive"

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise ValueError(f"Inconclusive.seeds is {self.seeds}; it is 1 to {MOST_SEEDS}")

    def __str__(self) -> str:
        many = f"{self.seeds} more seed{'s' * (self.seeds > 1)}"
        return f"{self.word} (needs {'at least ' if self.seeds == MOST_SEEDS else ''}{many})"


def to_json(verdict: Verdict) -> dict[str, Any]:
    """As JSON values."""
    return {"word": verdict.word} | ({"seeds": verdict.seeds} if isinstance(verdict, Inconclusive) else {})


def from_json(values: Mapping[str, Any]) -> Verdict:
    """The inverse of `to_json`. Raises ValueError for anything else."""
    word = values.get("word")
    if word == Reproduced.word:
        return Reproduced()
    if word == NotReproduced.word:
        return NotReproduced()
    if word == Inconclusive.word and isinstance(values.get("seeds"), int):
        return Inconclusive(values["seeds"])
    raise ValueError(f"{dict(values)} is no verdict; it is reproduced, not reproduced, or inconclusive with seeds")
