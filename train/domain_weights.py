"""What a run has found of the weights of its groups, as a file that a mixture can be weighed by."""

import dataclasses
from typing import TYPE_CHECKING

from data.mixture.domain_weights import FILE, write_weights
from sharding.hosts import is_lead
from train.group_weights import GroupWeights
from train.hooks import Hook, Moment

if TYPE_CHECKING:
    from train.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class DomainWeights(Hook):
    """At the end of a run writes the mean weights of its groups to `domain_weights.json` in its directory.

    `data.mixture.weighted_by` makes them the weights of a mixture.
    """

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError when the objective has no weights of groups."""
        if not isinstance(experiment.objective, GroupWeights):
            raise ValueError(
                f"DomainWeights writes the weights of groups, but {type(experiment.objective).__name__} has none; the"
                " objective is to be GroupDRO or DoReMi"
            )

    def at_end(self, moment: Moment) -> None:
        names = moment.experiment.objective.names
        weights = {name: float(moment.metrics[f"train/mean_weight/{name}"]) for name in names}
        path = moment.directory.path / FILE
        if is_lead():
            write_weights(path, weights)
        shares = ", ".join(f"{name} {weight:.4f}" for name, weight in weights.items())
        moment.log(f"weights of groups: {shares}; written to {path}")
