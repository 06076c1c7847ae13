"""What was published: a paper, and numbers that stand in it."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Paper:
    """Where a claim comes from.

    Attributes:
      title: of the paper.
      authors: as they are cited.
      year: of the version that is cited.
      identifier: by which it is found, as `arXiv:2002.05202`.
      table: the table or figure that is reproduced.
      setting: how the numbers were made there: model, data, steps.
    """

    title: str
    authors: str
    year: int
    identifier: str
    table: str
    setting: str = ""

    def __post_init__(self) -> None:
        for field in ("title", "authors", "identifier", "table"):
            if not getattr(self, field).strip():
                raise ValueError(f"Paper.{field} is empty; a study names what it reproduces")

    def __str__(self) -> str:
        return f"{self.authors} ({self.year}), {self.title}, {self.identifier}, {self.table}"

    @property
    def link(self) -> str:
        """Where it is read; empty for an identifier that is none of arXiv's and no DOI."""
        kind, _, rest = self.identifier.partition(":")
        return {"arxiv": f"https://arxiv.org/abs/{rest}", "doi": f"https://doi.org/{rest}"}.get(kind.lower(), "")


@dataclasses.dataclass(frozen=True)
class PaperNumber:
    """A published number.

    Attributes:
      value: as printed.
      source: the table, row or sentence that it was read in; a number without one is no number.
      sd: standard deviation over runs, where it is printed; 0 where not.
    """

    value: float
    source: str
    sd: float = 0.0

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ValueError(f"the paper's number {self.value:g} has no source; say in which table it stands")
        if "unverified" in self.source.lower():
            raise ValueError(f"the paper's number {self.value:g} is unverified ('{self.source}'); read it in the paper")
        if not math.isfinite(self.value) or not 0 <= self.sd < math.inf:
            raise ValueError(f"the paper's number {self.value} (sd {self.sd}) of {self.source} is no finite number")

    def __str__(self) -> str:
        return f"{self.value:g}" + (f" ± {self.sd:g}" if self.sd else "")
