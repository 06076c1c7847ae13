"""Which checkpoints of a run stay."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Saved:
    """A checkpoint, as far as it matters for whether it stays.

    Attributes:
      step: steps done.
      good: whether no step was being skipped when it was saved.
      metric: what the best are chosen by; None if it was not measured at this step.
    """

    step: int
    good: bool = True
    metric: float | None = None


@dataclasses.dataclass(frozen=True)
class Keep:
    """Which checkpoints stay: whatever any of these rules asks for, and always the newest good one.

    Attributes:
      latest: how many of the latest.
      every: all whose step this divides; 0 for none.
      best: how many of those with the lowest `metric`; 0 for none.
      metric: name of a metric that evaluations write.
    """

    latest: int = 2
    every: int = 0
    best: int = 0
    metric: str = "eval/loss"

    def __post_init__(self) -> None:
        for field, least in (("latest", 1), ("every", 0), ("best", 0)):
            if getattr(self, field) < least:
                raise ValueError(f"cadence.keep.{field} is {getattr(self, field)}; it is at least {least}")

    def stay(self, saved: Sequence[Saved]) -> set[int]:
        """The steps of those that stay."""
        newest = sorted(saved, key=lambda one: one.step, reverse=True)
        # A metric that is not a number compares with nothing.
        measured = [one for one in newest if one.metric is not None and one.metric == one.metric]
        best = sorted(measured, key=lambda one: one.metric or 0.0)[: self.best]
        regular = [one for one in newest if self.every and one.step % self.every == 0]
        good = [one for one in newest if one.good][:1]
        return {one.step for one in [*newest[: self.latest], *regular, *best, *good]}
