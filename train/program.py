"""The compiled training step of a run."""

import hashlib
import time
from typing import Any

import jax
import optax

from sharding.axes import active
from sharding.placement import Layout
from train.experiment import Experiment
from train.feed import abstract_batch
from train.probe import Probe
from train.state import Blueprint, TrainState
from train.step import lower_step, make_step


class Programs:
    """The step of an experiment, compiled when it is first asked for.

    Attributes:
      seconds: spent compiling so far.
      hash: of the first program that was asked for, before XLA had it; see `train.fingerprint`.
    """

    def __init__(
        self,
        experiment: Experiment,
        blueprint: Blueprint,
        optimizer: optax.GradientTransformation,
        schedule: optax.Schedule,
        abstract: TrainState,
        layout: Layout,
    ) -> None:
        self.seconds, self.hash = 0.0, ""
        self._compiled: jax.stages.Compiled | None = None
        self._experiment, self._abstract, self._layout = experiment, abstract, layout
        self._parts = (blueprint, experiment.objective, optimizer, schedule)

    def at(self, step: int) -> Any:
        """The program of the step after `step` steps: (state, batch) -> (state, metrics)."""
        if self._compiled is None:
            began = time.perf_counter()
            self._compiled = self._compile()
            self.seconds += time.perf_counter() - began
        return self._compiled

    def _compile(self) -> jax.stages.Compiled:
        experiment, batch = self._experiment, self._experiment.batch
        probes = [hook for hook in experiment.hooks if isinstance(hook, Probe)]
        step = make_step(
            *self._parts, seed=experiment.seed, accumulate=batch.accumulate, probes=probes, safety=experiment.safety
        )
        rows = abstract_batch(batch.form.fields, batch.batch, self._layout)
        lowered = lower_step(step, self._abstract, rows, self._layout)
        self.hash = self.hash or program_hash(lowered)
        with active(self._layout):
            return lowered.compile()


def program_hash(lowered: jax.stages.Lowered) -> str:
    """A hash of a program before XLA compiles it: its StableHLO text, without where in the code it is from."""
    return hashlib.sha256(lowered.as_text(debug_info=False).encode()).hexdigest()
