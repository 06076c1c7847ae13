"""What a run says of itself while it goes on: metrics on disk and progress on the screen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from data.exits import Ended
from train.clock import Clock
from train.experiment import Experiment
from train.meters import Throughput
from train.metrics import MetricsLog
from train.progress import Progress
from train.run_directory import RunDirectory
from train.writer import Board, TensorBoard, Writer


class Journal:
    """Metrics of steps wait on the device until the next are due: by then they are there, and nothing stalls.

    Args:
      run: where metrics are written.
      start: steps done before.
      experiment: how many steps there are, and which boards take the metrics.
      clock: is told of each sign of life, and in the end how it ended.
      told: each sees the metrics of a step before they are written, and gives them back as they are to be; may raise.
      lead: whether this process writes and shows; the others only keep step.
    """

    def __init__(
        self,
        run: RunDirectory,
        start: int,
        experiment: Experiment,
        clock: Clock,
        told: Sequence[Callable[[int, dict[str, float]], dict[str, float]]],
        lead: bool,
    ) -> None:
        self._log = MetricsLog(run, start, _writers(run, start, experiment)) if lead else None
        self._progress = Progress(start, experiment.steps, lead)
        self._throughput = Throughput(experiment.batch.tokens, experiment.flops_per_token)
        self._clock, self._told = clock, told
        self._pending: tuple[int, Mapping[str, jax.Array]] | None = None
        self._present: tuple[int, dict[str, float]] = start, {}
        self._start = start
        self.latest: dict[str, Any] = {} if self._log is None else self._log.latest

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ends = {type(None): "finished", KeyboardInterrupt: "interrupted", Ended: "preempted"}
        self._clock.close(ends.get(kind or type(None), "failed"))
        self._progress.close()
        if self._log is not None:
            self._log.close()

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Writes figures that are at hand."""
        self._present = step, {**self.at(step), **values}
        if self._log is not None and values:
            self._log.write(step, values)
            if "train/loss" in values:
                self._progress.at(step, values)

    def at(self, step: int) -> Mapping[str, float]:
        """All that was noted of a step, if nothing has been of a later one; the same in every process."""
        return self._present[1] if self._present[0] == step else {}

    def stepped(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """A step was given to the devices. Only the first of a start is waited for, to tell when it was done."""
        if step == self._start + 1:
            jax.block_until_ready(metrics)
            self.note(step, {"perf/seconds_to_first_step": self._clock.since_start()})

    def later(self, step: int, values: Mapping[str, jax.Array]) -> None:
        """Keeps figures that the device may still be working on, and writes those kept before."""
        self.catch_up()
        self._pending = step, values
        # A CPU that finishes a step before it takes the next has them already; told later, the time would be wrong.
        if all(value.is_ready() for value in values.values()):
            self.catch_up()

    def catch_up(self) -> None:
        """Writes the figures kept, waiting for the device if need be."""
        if self._pending is not None:
            step, values = self._pending
            self._pending = None
            # Reading blocks until the step is done, so that the clock is read at its end.
            ready = {key: float(value) for key, value in values.items()}
            for told in self._told:
                ready = told(step, ready)
            self.note(step, ready | self._throughput.read(step))
            self._clock.alive(step)

    def pause(self) -> None:
        """Says that what follows is not training, so that no time is charged to it."""
        self._throughput.pause()

    def say(self, line: str) -> None:
        """Prints a line beside the progress."""
        self._progress.say(line)


def _writers(run: RunDirectory, start: int, experiment: Experiment) -> list[Writer]:
    boards = [hook.open(run, experiment) for hook in experiment.hooks if isinstance(hook, Board)]
    return [TensorBoard(run, start), *boards]
