"""What happens between steps: evaluations, and the hooks of an experiment."""

from collections.abc import Mapping
from typing import Any

from data.prepared import Prepared
from data.training import Account
from sharding.hosts import is_lead
from sharding.placement import Layout
from train.clock import Clock
from train.evaluation import Evaluator, in_words
from train.experiment import Experiment
from train.hooks import Moment
from train.journal import Journal
from train.run_directory import RunDirectory
from train.state import Blueprint, TrainState


class Occasions:
    """Evaluates, and calls the hooks of a run. All processes of a job call it together.

    Args:
      experiment: what is run.
      run: where it writes.
      prepared: its data.
      account: what of them is read by a step.
      blueprint: the model.
      layout: where its weights lie.
      journal: takes the figures.
      clock: charges the time.
    """

    def __init__(
        self,
        experiment: Experiment,
        run: RunDirectory,
        prepared: Prepared,
        account: Account,
        blueprint: Blueprint,
        layout: Layout,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._experiment, self._run, self._prepared, self._account = experiment, run, prepared, account
        self._blueprint, self._journal, self._clock = blueprint, journal, clock
        self._evaluator = Evaluator(blueprint, experiment.objective, prepared, experiment.batch, layout)

    def start(self, at: int, state: TrainState) -> None:
        """Tells the hooks that steps are about to begin."""
        for hook in self._experiment.hooks:
            hook.at_start(self._moment(at, state, {}))

    def begin(self, at: int, state: TrainState, record: Mapping[str, Any]) -> None:
        """Evaluates what a run has taken from elsewhere before it learns, and records where that was from."""
        figures = self.evaluate(at, state)
        if is_lead():
            self._run.record_start({**record, "evaluation": figures})

    def evaluate(self, at: int, state: TrainState) -> dict[str, float]:
        """Evaluates the state after `at` steps; hooks add what they find to the figures."""
        with self._clock.to("evaluate"):
            figures = self._evaluator(self._weights(state)) | self._account.figures(int(state.position))
            figures |= self._clock.figures()
            for hook in self._experiment.hooks:
                figures |= hook.after_evaluation(self._moment(at, state, figures))
            self._journal.note(at, figures)
            self._journal.say(f"evaluate: step {at}: {in_words(figures)}")
        return figures

    def end(self, at: int, state: TrainState) -> None:
        """Tells the hooks that the last step is saved."""
        for hook in self._experiment.hooks:
            hook.at_end(self._moment(at, state, {}))

    def _weights(self, state: TrainState) -> Any:
        return self._experiment.optimizer.evaluated(state.optimizer, state.weights)

    def _moment(self, at: int, state: TrainState, figures: Mapping[str, float]) -> Moment:
        return Moment(
            self._experiment, self._run, self._prepared, lambda: self._blueprint.model(self._weights(state)), at,
            {**self._journal.latest, **figures}, self._journal.say,
        )
