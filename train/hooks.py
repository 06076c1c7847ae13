"""What else happens in a run: an experiment names hooks, and the loop calls them.

By hooks the rooms above this one add samples, reports and studies without the loop knowing them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from data.prepared import Prepared

if TYPE_CHECKING:
    from train.experiment import Experiment
    from train.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Moment:
    """A run as a hook sees it.

    Attributes:
      experiment: what is run.
      directory: where it writes.
      prepared: its data.
      model: makes the model with the present weights; all processes of a job must call it together.
      step: steps done.
      metrics: the latest value of every metric.
      log: prints a line.
    """

    experiment: "Experiment"
    directory: "RunDirectory"
    prepared: Prepared
    model: Callable[[], Any]
    step: int
    metrics: Mapping[str, Any]
    log: Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Hook:
    """Base of all hooks; by itself it does nothing. Every process of a job calls it."""

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError when this hook does not go with the rest of an experiment; called as it is built."""

    def at_start(self, moment: Moment) -> None:
        """Called once at each start of a run, before its first step."""

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """Called after each evaluation; what it returns is logged with the evaluation."""
        return {}

    def at_end(self, moment: Moment) -> None:
        """Called once, after the last step is saved."""
