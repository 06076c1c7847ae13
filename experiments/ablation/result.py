"""What is kept of a run of a study: its curves, what it cost, and where it ran."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from data import atomic

Points = list[tuple[int, float]]
# Of longer curves points are left out, evenly; the first and the last one stay.
MOST_POINTS = 200


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
      address: of the run; see `experiments.ablation.address`.
      series: the values of every metric, by name, as pairs of a step and a value.
      steps: steps done.
      tokens: tokens that it learnt from.
      weights: of the model.
      flops: model FLOPs of the training.
      seconds: of all its starts, by purpose.
      environment: what it ran on.
      setting: what of its arm it was run with, where it is judged with the arm's other runs. It is not stored: arms
        and studies that share the run may come to it otherwise.
    """

    address: str
    series: Mapping[str, Points]
    steps: int
    tokens: int
    weights: int
    flops: float
    seconds: Mapping[str, float]
    environment: Mapping[str, Any]
    setting: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    def last(self, key: str) -> float | None:
        """The last value of a metric; None if there is none."""
        points = self.series.get(key)
        return points[-1][1] if points else None

    def write(self, path: epath.Path) -> None:
        """Writes it, whole or not at all."""
        kept = {key: value for key, value in vars(self).items() if key != "setting"}
        atomic.write_text(path, json.dumps(kept) + "\n")


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that ended without a result.

    Attributes:
      address: of the run.
      reason: one sentence.
    """

    address: str
    reason: str


def read(path: epath.Path) -> Result | None:
    """The result at `path`; None if there is none that can be read."""
    try:
        found = json.loads(path.read_text())
        series = {key: [(int(step), float(value)) for step, value in points] for key, points in found["series"].items()}
        return Result(**{**found, "series": series})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most `most` points, evenly chosen from the end backwards; the earliest of them is the first of all."""
    every = -(-len(points) // most)
    return [points[0], *points[::-1][::every][::-1][1:]] if every > 1 else list(points)
