"""How many rows of each source have been read after any number of steps: exact, and found without counting up.

A timeline is a few stages. In each, the same block of steps repeats, with a whole number of rows of every
source in it; where blocks begin, each source has had exactly its share. Within a block sources take turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from data.chairman import turns


@dataclass(frozen=True)
class Stage:
    """A stretch of steps with constant shares.

    Attributes:
      begin: the step it begins at.
      steps: the length of a block.
      rows: how many rows of each source a block has.
    """

    begin: int
    steps: int
    rows: tuple[int, ...]

    @cached_property
    def within(self) -> Int64[np.ndarray, "times sources"]:
        """Rows read in the first steps of a block."""
        return turns(np.array(self.rows, np.int64), self.steps)


class Timeline:
    """The stages of a run, each from its beginning to that of the next, the last without end.

    Args:
      batch: rows in a step.
      stages: in order; each begins where a block of the one before ends.

    Raises:
      ValueError: when the stages do not follow one another so, or a block has more or fewer rows than its
        steps.
    """

    def __init__(self, batch: int, stages: Sequence[Stage]) -> None:
        if batch < 1:
            raise ValueError(f"batch is {batch}, but must be at least 1")
        if not stages or stages[0].begin != 0:
            raise ValueError(f"the first stage begins at step {stages[0].begin if stages else None}, not at 0")
        self.batch = batch
        self.stages = tuple(stages)
        before = [np.zeros(len(stages[0].rows), np.int64)]
        for stage, following in zip(self.stages, self.stages[1:], strict=False):
            blocks, rest = divmod(following.begin - stage.begin, stage.steps)
            if blocks < 1 or rest:
                raise ValueError(
                    f"a stage begins at step {following.begin}, where no block of the one from step {stage.begin}"
                    f" on ends: its blocks have {stage.steps} steps"
                )
            before.append(before[-1] + blocks * np.array(stage.rows, np.int64))
        for stage in self.stages:
            if sum(stage.rows) != stage.steps * batch:
                raise ValueError(f"{stage} has {sum(stage.rows)} rows in a block, not {stage.steps} times {batch}")
        self._begins = np.array([stage.begin for stage in self.stages], np.int64)
        self._before = np.stack(before)

    @classmethod
    def alone(cls, batch: int) -> "Timeline":
        """One source, which has every row."""
        return cls(batch, [Stage(0, 1, (batch,))])

    @property
    def sources(self) -> int:
        """How many sources take part."""
        return len(self.stages[0].rows)

    def rows(self, steps: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n sources"]:
        """How many rows of each source are read in the first `steps` steps."""
        number = np.searchsorted(self._begins, steps, side="right") - 1
        read = self._before[number]
        for stage in np.unique(number).tolist():
            chosen = number == stage
            block, step = np.divmod(steps[chosen] - self._begins[stage], self.stages[stage].steps)
            rows = np.array(self.stages[stage].rows, np.int64)
            read[chosen] += block[:, None] * rows + self.stages[stage].within[step]
        return read

    def due(self, steps: int) -> tuple[Fraction, ...]:
        """How many rows of each source should have been read in the first `steps` steps, exactly."""
        number = int(np.searchsorted(self._begins, steps, side="right")) - 1
        stage = self.stages[number]
        blocks = Fraction(steps - stage.begin, stage.steps)
        return tuple(
            int(before) + blocks * rows for before, rows in zip(self._before[number], stage.rows, strict=True)
        )

    def shares(self, step: int) -> tuple[Fraction, ...]:
        """Which part of the rows of `step` is due to each source."""
        stage = self.stages[int(np.searchsorted(self._begins, step, side="right")) - 1]
        return tuple(Fraction(rows, stage.steps * self.batch) for rows in stage.rows)
