"""Opens the model of a run, finished or still running, for whoever wants to use it; writes nothing there."""

import dataclasses
from collections.abc import Callable
from typing import Any

from etils import epath

from data.console import UsageError, nearest
from data.prepared import Prepared
from data.spec import override
from data.user_code import usage
from model.config import TransformerConfig
from model.multi_token import MultiTokenConfig
from model.spec import ModelSpec
from model.transformer import DecoderLM
from sharding.placement import Layout, Placement
from sharding.placements import DataParallel
from train.experiment import Experiment
from train.fitting import evaluated
from train.run_directory import RunDirectory
from train.saved import SavedRun, experiment_of
from train.state import Blueprint


@dataclasses.dataclass(frozen=True)
class OpenRun:
    """A run that can be asked things.

    Attributes:
      run: where it lies.
      experiment: what was run, with the placement the weights have here and without hooks.
      prepared: its data.
      layout: how the weights lie on the devices.
      blueprint: the structure of its model.
      weights: the weights.
      step: steps they were trained for.
    """

    run: RunDirectory
    experiment: Experiment
    prepared: Prepared
    layout: Layout
    blueprint: Blueprint
    weights: Any
    step: int

    def model(self) -> Any:
        """The model with the weights."""
        return self.blueprint.model(self.weights)

    def decoder(self) -> DecoderLM:
        """The model, where it is a decoder alone. Raises ValueError for another kind."""
        check_decoder(self.experiment.model, f"the model of {self.run.path}")
        return self.model()


def check_decoder(spec: ModelSpec, whose: str) -> None:
    """Raises ValueError for a model that does not continue texts."""
    if not isinstance(spec, TransformerConfig | MultiTokenConfig):
        raise ValueError(f"{whose} is a {type(spec).__name__}; this takes a decoder")


def restore(
    directory: epath.PathLike, placement: Placement | None = None, log: Callable[[str], None] = print
) -> tuple[Experiment, Prepared, Any]:
    """The experiment of a run, its data and its model; see `open_run`."""
    opened = open_run(directory, placement, log)
    return opened.experiment, opened.prepared, opened.model()


def open_run(
    directory: epath.PathLike, placement: Placement | None = None, log: Callable[[str], None] = print
) -> OpenRun:
    """Opens a run with the weights of its newest checkpoint that is whole: those it is evaluated by.

    What the optimizer keeps is read only where it averages weights.

    Args:
      directory: the run directory.
      placement: how the weights are to lie on the devices at hand; each holds all of them by default.
      log: prints a line, on a checkpoint that had to be passed over.

    Raises:
      UsageError: if there is no run, or no checkpoint yet.
      ValueError: if the config, the data or every checkpoint is unreadable.
    """
    run = find_run(directory)
    experiment = experiment_of(run, placement or DataParallel())
    prepared = _prepared(run, experiment)
    ids = prepared.tokenizer.vocab_size
    if ids > experiment.model.vocab:
        raise ValueError(
            f"{prepared.directory} has a tokenizer of {ids} ids, but {run.config} says model.vocab is "
            f"{experiment.model.vocab}; they are not of one run"
        )
    blueprint, layout = Blueprint(experiment.model), experiment.placement.on()
    step, weights = _newest(run, experiment, blueprint, layout, log)
    return OpenRun(run, experiment, prepared, layout, blueprint, weights, step)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a flag may say of a run that is opened.

    Attributes:
      placement: how its weights are to lie.
    """

    placement: Placement = DataParallel()


def placement_of(text: str) -> Placement:
    """The placement that a flag names, such as `TensorParallel(tensor=2)`; whole copies on all devices for none.

    Raises UsageError for what is no placement, or does not fit the devices at hand.
    """
    with usage("--placement"):
        placement = override(Wanted(), [f"placement={text}"] if text else []).placement
        placement.on()
    return placement


def find_run(directory: epath.PathLike) -> RunDirectory:
    """The run directory at this path. Raises UsageError if no run was begun there."""
    run = RunDirectory(directory)
    if run.exists():
        return run
    near = ""
    if not run.path.exists() and run.path.parent.exists():
        others = [path.name for path in run.path.parent.iterdir() if (path / "config.json").exists()]
        near = nearest(run.path.name, others)
    found = "has no config.json" if run.path.exists() else "does not exist"
    raise UsageError(f"{run.path} holds no run: it {found}{near}")


def _prepared(run: RunDirectory, experiment: Experiment) -> Prepared:
    # Data that lies elsewhere knows where; nothing is made anew near the run.
    try:
        return experiment.data.open(run.data)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{run.data} is incomplete: {error}; the same training command prepares it"
        ) from error


def _newest(
    run: RunDirectory, experiment: Experiment, blueprint: Blueprint, layout: Layout, log: Callable[[str], None]
) -> tuple[int, Any]:
    try:
        saved = SavedRun(run)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from None
    with saved:
        return saved.whole(log, lambda step: (step, evaluated(saved, step, experiment, blueprint, layout)))
