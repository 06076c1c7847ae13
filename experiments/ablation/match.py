"""What arms must have in common for a comparison to be fair; checked before anything runs."""

import abc
import dataclasses
from collections.abc import Mapping

from train.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Match(abc.ABC):
    """Arms have as much of something as one another.

    Attributes:
      within: the largest difference between two of them, as a share of the larger.
      arms: names of the arms it is about; empty: all of them.
    """

    within: float = 0.005
    arms: tuple[str, ...] = ()

    @abc.abstractmethod
    def amount(self, experiment: Experiment) -> float:
        """How much an arm has."""

    def check(self, arms: Mapping[str, Experiment]) -> None:
        """Raises ValueError, naming the two arms that differ most, if they differ by more than `within`."""
        amounts = {name: self.amount(arms[name]) for name in self.arms or arms}
        least, most = min(amounts, key=amounts.__getitem__), max(amounts, key=amounts.__getitem__)
        if amounts[most] - amounts[least] > self.within * amounts[most]:
            raise ValueError(
                f"arm '{least}' has {amounts[least]:,.0f} and arm '{most}' {amounts[most]:,.0f}, and "
                f"{type(self).__name__} lets arms differ by {self.within:.2%}; change their sizes"
            )


class SameWeights(Match):
    """As many weights."""

    def amount(self, experiment: Experiment) -> float:
        """The number of weights."""
        from train.state import Blueprint

        return Blueprint(experiment.model).count()


class SameFlops(Match):
    """As many model FLOPs in the whole training."""

    def amount(self, experiment: Experiment) -> float:
        """FLOPs a token times tokens."""
        return experiment.flops_per_token * experiment.batch.tokens(experiment.steps)
