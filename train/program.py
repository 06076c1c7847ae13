"""The compiled training steps of a run, one for each size of a batch."""

import hashlib
import time
from typing import Any

import jax
import optax

from sharding.placement import Layout
from train.experiment import Experiment
from train.feed import abstract_batch
from train.memory import Memory, memory_of
from train.probe import Probe
from train.state import Blueprint, TrainState, abstract_state
from train.step import compiled, lower_step, make_step


class Programs:
    """The step of an experiment, compiled for a size of its batch when that is first asked for.

    Attributes:
      seconds: spent compiling so far.
      hash: of the first program that was asked for, before XLA had it; see `train.fingerprint`.
      memory: what a device holds while it does the step compiled last; None before there is one.
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
        self.memory: Memory | None = None
        self._compiled: dict[int, jax.stages.Compiled] = {}
        self._experiment, self._abstract, self._layout = experiment, abstract, layout
        self._parts = (blueprint, experiment.objective, optimizer, schedule)

    @classmethod
    def of(cls, experiment: Experiment, layout: Layout) -> "Programs":
        """Those of an experiment of which nothing is there yet but shapes."""
        blueprint = Blueprint(experiment.model)
        schedule = experiment.schedule.over(experiment.steps)
        optimizer = experiment.optimizer.transform(schedule, blueprint.table)
        abstract = abstract_state(blueprint, optimizer, layout, experiment.objective, experiment.safety)
        return cls(experiment, blueprint, optimizer, schedule, abstract, layout)

    @property
    def blueprint(self) -> Blueprint:
        """The model's structure."""
        return self._parts[0]

    @property
    def abstract(self) -> TrainState:
        """The state that a step takes, as shapes with shardings."""
        return self._abstract

    def at(self, step: int) -> Any:
        """The program of the step after `step` steps: (state, batch) -> (state, metrics)."""
        units = self._experiment.batch.growth.factor(step)
        if units not in self._compiled:
            began = time.perf_counter()
            self._compiled[units] = self._compile(units)
            self.seconds += time.perf_counter() - began
        return self._compiled[units]

    def figures(self) -> dict[str, float]:
        """`perf/compile_seconds`, and the memory of the step compiled last."""
        return {"perf/compile_seconds": self.seconds, **(self.memory.figures() if self.memory else {})}

    def lowered(self, units: int) -> tuple[jax.stages.Lowered, dict[str, Any]]:
        """The step for a batch of `units` times the smallest, before XLA compiles it, and that batch as shapes."""
        experiment, batch = self._experiment, self._experiment.batch
        probes = [hook for hook in experiment.hooks if isinstance(hook, Probe)]
        step = make_step(
            *self._parts, seed=experiment.seed, accumulate=batch.accumulate, units=units, probes=probes,
            safety=experiment.safety,
        )
        rows = abstract_batch(batch.form.fields, batch.batch * units, self._layout)
        return lower_step(step, self._abstract, rows, self._layout), rows

    def compiled(self, lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        """What XLA makes of a step."""
        return compiled(lowered, self._layout)

    def _compile(self, units: int) -> jax.stages.Compiled:
        lowered, rows = self.lowered(units)
        self.hash = self.hash or program_hash(lowered)
        program = self.compiled(lowered)
        self.memory = memory_of(program, self._abstract, rows)
        return program


def program_hash(lowered: jax.stages.Lowered) -> str:
    """A hash of a program before XLA compiles it: its StableHLO text, without where in the code it is from."""
    return hashlib.sha256(lowered.as_text(debug_info=False).encode()).hexdigest()
