"""Where a run begins: from nothing, from the weights of another, as a branch of another, or from published weights.

Only the first start of a run looks there. What it found is recorded in `start.json`, and saved as the run's first
checkpoint before anything is learnt, so that the run never goes back to its source.
"""

import abc
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

from data.prepared import Prepared
from data.spec_difference import difference
from sharding.axes import active
from sharding.placement import Layout
from train.digest import digest
from train.state import Blueprint, TrainState, abstract_state, fresh_state, keys

if TYPE_CHECKING:
    from train.experiment import Experiment
    from train.run_directory import RunDirectory
    from train.saved import SavedRun


@dataclasses.dataclass(frozen=True)
class Site:
    """What a run has before it has a state.

    Attributes:
      experiment: what is run.
      prepared: its data.
      blueprint: its model.
      optimizer: its optimizer.
      layout: how weights lie.
      say: prints a line.
      run: where it writes.
    """

    experiment: "Experiment"
    prepared: Prepared
    blueprint: Blueprint
    optimizer: optax.GradientTransformation
    layout: Layout
    say: Callable[[str], None]
    run: "RunDirectory"

    @property
    def abstract(self) -> TrainState:
        """The state as shapes with shardings."""
        chosen = self.experiment
        return abstract_state(self.blueprint, self.optimizer, self.layout, chosen.objective, chosen.safety)

    def begun(self, restored: TrainState | None) -> "Begun":
        """What a run goes on from: the state of its own checkpoint if there is one, or where the experiment begins."""
        if restored is None:
            return self.experiment.start.begin(self)
        if restored.step:
            self.say(f"resume: step {int(restored.step)} of {self.experiment.steps}")
        return Begun(restored, {})

    def with_weights(self, weights: Any) -> TrainState:
        """The state of a run that begins with these weights: step 0, the data from their beginning."""

        def start(weights: Any) -> tuple[Any, ...]:
            zero = jnp.zeros((), jnp.int32)
            chosen = self.experiment
            return zero, zero, self.optimizer.init(weights), chosen.objective.start(), chosen.safety.start()

        whole = self.abstract
        wanted = (whole.step, whole.position, whole.optimizer, whole.objective, whole.guard)
        with active(self.layout):
            place = jax.tree.map(lambda leaf: leaf.sharding, wanted)
            step, position, kept, weighing, guard = jax.jit(start, out_shardings=place)(weights)
        return TrainState(step, position, weights, kept, weighing, guard)


@dataclasses.dataclass(frozen=True)
class Begun:
    """A state to begin with.

    Attributes:
      state: the state.
      record: what it was made of, for `start.json`; nothing if of nothing.
    """

    state: TrainState
    record: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Start(abc.ABC):
    """Where a run begins."""

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError when this start does not go with the rest of an experiment."""
        return None

    @abc.abstractmethod
    def begin(self, site: Site) -> Begun:
        """The first state of a run, with what is to be recorded of it.

        Raises ValueError or OSError, in a sentence, if the source is not there or does not fit.
        """


@dataclasses.dataclass(frozen=True)
class Scratch(Start):
    """Fresh weights by the experiment's seed."""

    def begin(self, site: Site) -> Begun:
        """A fresh state, the same on any layout."""
        chosen = site.experiment
        parts = (chosen.seed, chosen.objective, chosen.safety)
        return Begun(fresh_state(site.blueprint, site.optimizer, site.layout, *parts), {})


@dataclasses.dataclass(frozen=True)
class FromRun(Start):
    """The weights of another run, which is only read; a new optimizer, and the experiment's data from their beginning.

    They are the weights that the run would evaluate: averaged ones if its optimizer averages. They are cast and
    placed as this experiment says. Token ids that they lack keep fresh rows.

    Attributes:
      run: its directory.
      step: of which checkpoint; None for the newest that is whole.
    """

    run: str
    step: int | None = None

    def begin(self, site: Site) -> Begun:
        """Step 0 with these weights."""
        from train.fitting import fitted
        from train.saved import experiment_of

        with _saved(self.run) as saved:
            source = experiment_of(saved.run, site.experiment.placement)
            _check_tokenizer(source, saved, site)
            step, weights, lacking = _chosen(saved, self.step, site, lambda at: self._read(saved, at, source, site))
            record = {**_record(self, saved, step), "fresh_ids": lacking}
        record["model_differs"] = _told_differences(source.model, site)
        site.say(f"start: the weights of {saved.run.path} after step {step}{_grown(lacking)}")
        weights = fitted(weights, site.blueprint, site.layout, site.experiment.seed, lacking)
        return Begun(site.with_weights(weights), record)

    def _read(self, saved: "SavedRun", step: int, source: "Experiment", site: Site) -> tuple[int, Any, int]:
        from train.fitting import check_fit, evaluated

        lacking = check_fit(saved.shapes(step), site.blueprint, f"{saved.run.path}")
        return step, evaluated(saved, step, source, site.blueprint, site.layout), lacking


@dataclasses.dataclass(frozen=True)
class Branch(Start):
    """The whole state of another run: its steps, its optimizer and its place in the data go on from there.

    Model, data, batch, optimizer, objective and seed are the other run's; the schedule and the number of steps (which
    counts those of the other run) may differ, and data may join a mixture. So a decay that branches off the stable
    phase of `WarmupStableDecay` or `Constant` is bit for bit the end of one uninterrupted run.

    Attributes:
      run: its directory, which is only read.
      step: of which checkpoint; None for the newest that is whole.
    """

    run: str
    step: int | None = None

    def begin(self, site: Site) -> Begun:
        """The state after that step."""
        from train.continuation import first_other_rate
        from train.saved import experiment_of

        with _saved(self.run) as saved:
            source = experiment_of(saved.run, site.experiment.placement)
            state = _chosen(saved, self.step, site, lambda at: self._read(saved, at, source, site))
            step = int(state.step)
            record = _record(self, saved, step)
        if step >= site.experiment.steps:
            raise ValueError(
                f"start: {saved.run.path} is at step {step}, and steps is {site.experiment.steps}; steps counts those "
                "of the other run too"
            )
        site.say(f"start: a branch of {saved.run.path} from step {step}, data from {int(state.position)}")
        if (other := first_other_rate(source, site.experiment, step)) is not None:
            at, there, here = other
            site.say(f"start: step {at} had a learning rate of {there:.4g} there, and would have {here:.4g} here")
        return Begun(state, record | {"position": int(state.position)})

    def _read(self, saved: "SavedRun", step: int, source: "Experiment", site: Site) -> TrainState:
        from train.continuation import Refused, changes
        from train.saved import Unfit

        try:
            lines = changes(source, site.experiment, step, ("schedule", "steps", "start"))
        except Refused as error:
            raise Unfit(f"start: {saved.run.path} {error}") from None
        if lines:
            raise Unfit(
                f"start: a branch of {saved.run.path} has its model, data, batch, optimizer, objective and seed, but "
                f"here {'; '.join(lines[:4])}; FromRun takes the weights alone"
            )
        return TrainState(**saved.read(step, site.abstract._asdict()))


@dataclasses.dataclass(frozen=True)
class FromPublished(Start):
    """The weights of a Hugging Face checkpoint, or of one of ours (`python -m model.convert`).

    Cast and placed as this experiment says. Token ids that they lack keep fresh rows.

    Attributes:
      directory: with config.json and safetensors.
    """

    directory: str

    def begin(self, site: Site) -> Begun:
        """Step 0 with these weights."""
        from flax import nnx

        from model.families.transfer import load, open_model
        from model.transformer import TransformerConfig
        from train.fitting import check_fit, fitted
        from train.saved import hash_of

        directory = Path(self.directory)
        config = open_model(directory).config
        if not isinstance(config, TransformerConfig) or not isinstance(site.experiment.model, TransformerConfig):
            raise ValueError(f"start: {directory} is a {type(config).__name__}, and the model here a decoder")
        source = Blueprint(config)
        shapes = {keys(path): leaf for path, leaf in jax.tree.leaves_with_path(source.shapes)}
        lacking = check_fit(shapes, site.blueprint, f"{directory}")
        places = {keys(path): leaf for path, leaf in jax.tree.leaves_with_path(source.shardings(site.layout))}
        _, model = load(directory, lambda path, shape: places[path])
        found = nnx.to_pure_dict(nnx.state(model))
        digests = [int(leaf) for leaf in jax.tree.leaves(jax.jit(digest)(found))]
        site.say(f"start: the weights in {directory}{_grown(lacking)}")
        record = {"type": "FromPublished", "directory": os.path.abspath(directory), "weights": hash_of(digests)}
        record |= {"fresh_ids": lacking, "model_differs": _told_differences(config, site)}
        weights = fitted(found, site.blueprint, site.layout, site.experiment.seed, lacking)
        return Begun(site.with_weights(weights), record)


def _saved(directory: str) -> "SavedRun":
    from train.run_directory import RunDirectory
    from train.saved import SavedRun

    try:
        return SavedRun(RunDirectory(directory))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"start: {error}") from None


def _chosen(saved: "SavedRun", step: int | None, site: Site, read: Callable[[int], Any]) -> Any:
    """What is read of a step, or of the newest that is whole."""
    if step is None:
        return saved.whole(site.say, read)
    if step not in saved.steps:
        there = ", ".join(map(str, reversed(saved.steps)))
        raise ValueError(f"start.step is {step}, but {saved.run.path} has checkpoints of steps {there}")
    return read(step)


def _record(start: FromRun | Branch, saved: "SavedRun", step: int) -> dict[str, Any]:
    run = str(saved.run.path) if "://" in start.run else os.path.abspath(start.run)
    return {"type": type(start).__name__, "run": run, "step": step, "weights": saved.hash(step)}


def _grown(lacking: int) -> str:
    return f"; {lacking} token ids that it lacks begin afresh" if lacking else ""


def _told_differences(source: Any, site: Site) -> list[str]:
    """Says what the same weights would have computed there and not here, as a base of positions might change."""
    lines = difference(source, site.experiment.model)
    for line in lines[:8]:
        site.say(f"start: another model than the source's: {line}")
    return lines


def _check_tokenizer(source: "Experiment", saved: "SavedRun", site: Site) -> None:
    try:
        there = source.data.open(saved.run.data).tokenizer
    except (OSError, ValueError) as error:
        site.say(f"start: the tokenizer of {saved.run.path} cannot be compared ({error})")
        return
    here = site.prepared.tokenizer
    if there.hash != here.hash:
        raise ValueError(
            f"start: {saved.run.path} was trained with the tokenizer {there.type} {there.hash[:12]}..., and this data "
            f"is tokenized by {here.type} {here.hash[:12]}...; use SavedTokenizer('{saved.run.data}/tokenizer')"
        )
