"""How much a run forgets of what it was trained on before."""

import dataclasses
import json
from collections.abc import Mapping

from train.hooks import Hook, Moment
from train.start import Scratch


@dataclasses.dataclass(frozen=True)
class Forgetting(Hook):
    """After each evaluation, how much higher the loss on old data is than when the run began.

    For an experiment that starts from another run or from published weights (`Experiment.start`) and whose data are a
    mixture with the old ones in it (`data.mixture.with_replay`). The loss at the start is in the run's `start.json`,
    so that a resumed run knows it.

    Attributes:
      parts: the names of the old parts of the mixture.
    """

    parts: tuple[str, ...] = ("old",)

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """`eval/NAME/forgetting` of each part, in nats a token: `eval/NAME/loss` less the same at the start.

        Raises ValueError if the data have no such part.
        """
        if isinstance(moment.experiment.start, Scratch):
            moment.log("forgetting: the run starts from nothing, so that there is nothing to forget")
            return {}
        keys = {name: f"eval/{name}/loss" for name in self.parts}
        for name, key in keys.items():
            if key not in moment.metrics:
                there = ", ".join(moment.prepared.parts) or "none"
                raise ValueError(f"hooks: Forgetting is told of a part '{name}', but the data have {there}")
        try:
            begun = json.loads(moment.directory.start.read_text())["evaluation"]
        except FileNotFoundError:
            # The record is written after this, the first evaluation of the run.
            begun = moment.metrics
        return {f"eval/{name}/forgetting": moment.metrics[key] - begun[key] for name, key in keys.items()}
