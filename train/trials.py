"""Runs that differ in numbers alone, trained together: one program in which every array has an axis of trials.

Learning rates, weight decays, seeds, lengths of schedules and whatever else of an experiment is arithmetic become
arrays of one number a trial; the step of one experiment, mapped over them (`sharding.trials.each`), is the step of
all. What each trial learns is what it would learn apart, to rounding. On several devices trials lie on a mesh axis of
their own, `trial`, outside those of the experiment's placement.
"""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from data.spec import describe, flatten
from sharding.axes import active
from sharding.placement import Layout
from sharding.trials import beside, each, stacked
from train.batch_growth import Steady
from train.experiment import Experiment
from train.feed import abstract_batch
from train.objective import Batch
from train.position_loss import ByPosition, sums_by_position
from train.probe import Probe
from train.start import Scratch
from train.state import Blueprint, TrainState, abstract_state, initial_state
from train.step import Metrics, Step, compiled, make_step

# Dotted key -> a number, or one a trial.
Numbers = Mapping[str, Any]

# Where numbers may differ: nothing there decides which rows are read, or when they are evaluated.
_FREE = ("seed", "steps", "schedule", "optimizer", "objective", "model")


class NotTogether(ValueError):
    """Experiments that cannot be one program."""


def numbers_of(experiments: Sequence[Experiment]) -> dict[str, np.ndarray]:
    """Dotted key -> one number an experiment, for each number in which they differ.

    Raises NotTogether where they differ in something else.
    """
    tables = [flatten(describe(one)) for one in experiments]
    found: dict[str, np.ndarray] = {}
    for key in dict.fromkeys(key for table in tables for key in table):
        values = [table.get(key) for table in tables]
        if all(type(value) is type(values[0]) and value == values[0] for value in values):
            continue
        if key.split(".")[0] not in _FREE or not all(type(value) in (int, float) for value in values):
            shown = ", ".join(dict.fromkeys(repr(value) for value in values))
            raise NotTogether(f"trials differ in {key} ({shown}); one program takes other numbers alone")
        exact = all(type(value) is int for value in values)
        found[key] = np.asarray(values, np.int32 if exact else np.float32)
    return found


def with_numbers(spec: Any, numbers: Numbers) -> Any:
    """A spec with traced numbers at dotted keys. It is not checked anew: a traced number cannot be."""
    for key, value in numbers.items():
        spec = _with(spec, key.split("."), value)
    return spec


def _with(spec: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(spec, tuple):
        i = int(first)
        return (*spec[:i], _with(spec[i], rest, value), *spec[i + 1 :])
    if isinstance(spec, Mapping):
        return {**spec, first: _with(spec[first], rest, value)}
    changed = copy.copy(spec)
    object.__setattr__(changed, first, _with(getattr(spec, first), rest, value))
    return changed


class Trials:
    """The programs of experiments that differ in numbers alone.

    Attributes:
      layout: of one trial; its mesh has the axis of trials besides.
      abstract: the state of all, as shapes [trials, ...] with shardings.

    Args:
      experiments: what is tried, each a trial. Rows are read as the first says, and by each trial's own seed.
      devices: by default all of the job.

    Raises NotTogether where one program cannot train them.
    """

    def __init__(self, experiments: Sequence[Experiment], devices: Sequence[jax.Device] | None = None) -> None:
        self._one, numbers = experiments[0], numbers_of(experiments)
        self._check()
        self.layout = beside(self._one.placement, len(experiments), devices)
        self._every, self._whole = stacked(self.layout.replicated), self.layout.replicated
        # An array also where nothing differs: it tells the number of trials.
        numbers = {"seed": np.full(len(experiments), self._one.seed, np.int32)} | numbers
        self._numbers = jax.device_put(numbers, self._every)
        try:
            made = jax.eval_shape(self._fresh, self._numbers)
            one = _Parts(self._one).abstract(self.layout)
            self.abstract: TrainState = jax.tree.map(_placed, made, one)
            jax.eval_shape(self._stepped, self._numbers, self.abstract, self._rows)
        except (jax.errors.JAXTypeError, TypeError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise NotTogether(f"{', '.join(numbers)} cannot all differ within one program: {said}") from error

    def fresh(self) -> TrainState:
        """The states before the first step, [trials, ...]."""
        shardings = jax.tree.map(lambda leaf: leaf.sharding, self.abstract)
        with active(self.layout):
            return jax.jit(self._fresh, out_shardings=shardings)(self._numbers)

    @functools.cached_property
    def step(self) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
        """The step of all trials: states and batches [trials, ...] to states and metrics [trials].

        A trial that has done its steps stays as it is.
        """
        shardings = jax.tree.map(lambda leaf: leaf.sharding, self.abstract)
        with active(self.layout):
            jitted = jax.jit(self._stepped, out_shardings=(shardings, self._whole), donate_argnums=1)
            program = compiled(jitted.lower(self._numbers, self.abstract, self._rows), self.layout)
        return lambda state, batch: program(self._numbers, state, batch)

    @functools.cached_property
    def sums(self) -> Callable[[TrainState, Batch], tuple[tuple[Array, Array], ByPosition]]:
        """Of each trial the loss of a batch that all see, summed over its tokens, and their number: [trials] both.

        And the same by position, [trials, stretches].
        """

        def one(numbers: Numbers, state: TrainState, batch: Batch) -> tuple[tuple[Array, Array], ByPosition]:
            experiment = with_numbers(self._one, numbers)
            weights = experiment.optimizer.evaluated(state.optimizer, state.weights)
            model = Blueprint(experiment.model).model(weights)
            found, at = sums_by_position(experiment.objective, model, batch)
            return (found.nll, found.weight), at

        mapped = jax.jit(each(one, self.layout, shared=1), out_shardings=self._whole)

        def call(state: TrainState, batch: Batch) -> tuple[tuple[Array, Array], ByPosition]:
            with active(self.layout):
                return mapped(self._numbers, state, batch)

        return call

    def rows(self, batches: Sequence[Mapping[str, np.ndarray]]) -> Batch:
        """The batches of one step, one a trial, on the devices."""
        whole = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        return {name: jax.device_put(rows, stacked(self.layout.batch)) for name, rows in whole.items()}

    @property
    def _rows(self) -> dict[str, Any]:
        batch = self._one.batch
        one = abstract_batch(batch.form.fields, batch.batch, self.layout)
        return {name: _placed(jax.ShapeDtypeStruct((self._count, *x.shape), x.dtype), x) for name, x in one.items()}

    def _check(self) -> None:
        one = self._one
        hooks = [type(hook).__name__ for hook in one.hooks if not isinstance(hook, Probe)]
        for field, found, wanted in (
            ("batch.growth", one.batch.growth, Steady()),
            ("start", one.start, Scratch()),
            ("safety.patience", one.safety.patience, 0),
            ("hooks", hooks, []),
        ):
            if found != wanted:
                raise NotTogether(f"{field} is {found}; in one program with other trials it is {wanted}")

    @property
    def _count(self) -> int:
        return len(self._numbers["seed"])

    def _fresh(self, numbers: Numbers) -> TrainState:
        def one(numbers: Numbers) -> TrainState:
            return _Parts(with_numbers(self._one, numbers)).fresh()

        return each(one, self.layout)(numbers)

    def _stepped(self, numbers: Numbers, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def one(numbers: Numbers, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            experiment = with_numbers(self._one, numbers)
            after, metrics = _Parts(experiment).step()(state, batch)
            if "steps" in numbers:
                after = jax.tree.map(functools.partial(jnp.where, state.step < numbers["steps"]), after, state)
            return after, metrics

        return each(one, self.layout)(numbers, state, batch)


class _Parts:
    """What a step is made of, of one experiment whose numbers may be traced."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._blueprint = experiment, Blueprint(experiment.model)
        self._schedule = experiment.schedule.over(experiment.steps)
        self._optimizer = experiment.optimizer.transform(self._schedule, self._blueprint.table)

    def abstract(self, layout: Layout) -> TrainState:
        """The state as shapes with shardings."""
        one = self._experiment
        return abstract_state(self._blueprint, self._optimizer, layout, one.objective, one.safety)

    def fresh(self) -> TrainState:
        """The state before the first step."""
        one = self._experiment
        return initial_state(self._blueprint, self._optimizer, jax.random.key(one.seed), one.objective, one.safety)

    def step(self) -> Step:
        """The training step."""
        one = self._experiment
        return make_step(
            self._blueprint, one.objective, self._optimizer, self._schedule, seed=one.seed,
            accumulate=one.batch.accumulate, safety=one.safety,
            probes=[hook for hook in one.hooks if isinstance(hook, Probe)],
        )  # fmt: skip


def _placed(leaf: jax.ShapeDtypeStruct, one: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=stacked(one.sharding))
