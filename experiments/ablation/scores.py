"""The figures that a study is decided by: one for each arm and seed."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.ablation.metric import Metric
from experiments.ablation.result import Result

# The runs that an arm is judged by, by seed.
Cells = Mapping[str, Mapping[int, Sequence[Result]]]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Costs by arm and seed: a metric, turned so that lower is better.

    Attributes:
      costs: by arm and seed.
      sign: what they are multiplied by to be the metric's figures again.
      runs: by arm and seed, each run that has a figure by itself, with it.
    """

    costs: Mapping[str, Mapping[int, float]]
    sign: int = 1
    runs: Mapping[str, Mapping[int, Sequence[tuple[Result, float]]]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, cells: Cells, metric: Metric) -> "Scores":
        """Those of a metric; cells without a figure are left out. Raises ValueError if runs have no such metric."""
        found = {
            arm: {seed: metric.of(cell) for seed, cell in sorted(seeds.items()) if cell} for arm, seeds in cells.items()
        }
        costs = {arm: {s: metric.sign * v for s, v in of.items() if v is not None} for arm, of in found.items()}
        runs = {
            arm: {s: [(run, v) for run in cell if (v := metric.one(run)) is not None] for s, cell in seeds.items()}
            for arm, seeds in cells.items()
        }
        return cls(costs, metric.sign, runs)

    def differences(self, better: str, worse: str) -> list[float]:
        """By how much `worse` costs more than `better`, for each seed that both have."""
        one, other = self.costs.get(better, {}), self.costs.get(worse, {})
        return [other[seed] - one[seed] for seed in one if seed in other]

    def block(self, arms: Sequence[str]) -> np.ndarray:
        """Costs [seeds, arms] for the seeds that all have."""
        seeds = [s for s in self.costs.get(arms[0], {}) if all(s in self.costs.get(arm, {}) for arm in arms)]
        return np.array([[self.costs[arm][seed] for arm in arms] for seed in seeds], np.float64).reshape(-1, len(arms))
