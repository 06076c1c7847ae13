"""Arms that are tuned over ranges of their own: what is a good value for one is none for another."""

import dataclasses
from collections.abc import Mapping, Sequence

from data.console import nearest
from experiments.ablation.sweep import Sweep, chain
from experiments.ablation.tuning import Answer, Known, Tuning


@dataclasses.dataclass(frozen=True)
class ByArm(Tuning):
    """Each arm has a tuning of its own; all cost as many runs, so that none is tuned harder than another.

    The rate that suits Lion is far below that of Adam: one range for both is unfair to one of them.

    Attributes:
      tunings: by name of the arm.
    """

    tunings: Mapping[str, Tuning]

    def __post_init__(self) -> None:
        if not self.tunings:
            raise ValueError("ByArm has no tunings; give one for each arm")
        costs = {name: (each.trials(), each.judging(1)) for name, each in self.tunings.items()}
        first = next(iter(costs))
        for name, cost in costs.items():
            if cost != costs[first]:
                raise ValueError(
                    f"ByArm: arm '{first}' has {costs[first][0]} runs to tune it and {costs[first][1]} a seed to judge "
                    f"it, and arm '{name}' {cost[0]} and {cost[1]}; give each as many"
                )

    def of(self, arm: str) -> Tuning:
        """That of an arm. Raises ValueError if it has none."""
        if arm not in self.tunings:
            raise ValueError(f"ByArm has no tuning of arm '{arm}'{nearest(arm, list(self.tunings))}; give each one")
        return self.tunings[arm]

    def answer(self, seeds: Sequence[int], known: Known) -> Answer:
        """Raises TypeError: an arm is to be known."""
        raise TypeError("ByArm answers of no arm in general; ask that of one, of(arm)")

    def settings(self) -> Sweep:
        """All of all arms."""
        return chain(*(each.settings() for each in self.tunings.values()))

    def trials(self) -> int:
        """Those of each, which are as many."""
        return next(iter(self.tunings.values())).trials()

    def judging(self, seeds: int) -> int:
        """Those of each."""
        return next(iter(self.tunings.values())).judging(seeds)

    def budget(self) -> str:
        """That of each, and that ranges differ."""
        told = dict.fromkeys(each.budget() for each in self.tunings.values())
        return f"{'; '.join(told)}; over a range of its own"
