"""Where metrics go besides the run's own file: TensorBoard always, other boards where an experiment names them."""

import abc
import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from train.hooks import Hook

if TYPE_CHECKING:
    from train.experiment import Experiment
    from train.run_directory import RunDirectory


@runtime_checkable
class Writer(Protocol):
    """Takes the metrics of a run, step by step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the metrics of one step; of a step there may be several calls, with other metrics."""

    def close(self) -> None:
        """Writes out what is buffered."""


class TensorBoard:
    """Event files. Points of an earlier start that this one passes again are hidden."""

    def __init__(self, run: "RunDirectory", step: int) -> None:
        from data.tensorflow_cpu import tf

        self._tf = tf
        self._board = tf.summary.create_file_writer(os.fspath(run.tensorboard), filename_suffix=f".{step}")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """A scalar for each metric."""
        with self._board.as_default(step):
            for key, value in values.items():
                self._tf.summary.scalar(key, value)

    def close(self) -> None:
        """Writes out what is buffered."""
        self._board.close()


@dataclasses.dataclass(frozen=True)
class Board(Hook):
    """Base of hooks that send the metrics elsewhere too."""

    @abc.abstractmethod
    def open(self, run: "RunDirectory", experiment: "Experiment") -> Writer:
        """Begins to send, or goes on after a restart; called by the lead process alone, before the first step."""
