"""Another run's model, frozen, for objectives that compare with it."""

import json
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from data.spec import build
from model.spec import ModelSpec
from train.state import Blueprint, keys

if TYPE_CHECKING:
    from train.run_directory import RunDirectory


def model_of(directory: str, weights: Any) -> Any:
    """The model of a run, with weights that `weights_of` gave or tracers like them."""
    return _blueprint(_run(directory)).model(weights)


def weights_of(directory: str) -> Any:
    """The weights of a run's newest checkpoint, as arrays on the host; those that it trains, not their average.

    Raises:
      FileNotFoundError: when there is no run, or it has no checkpoint.
      ValueError: when the checkpoint cannot be read, or is not what was saved.
    """
    from train.saved import SavedRun

    run = _run(directory)
    blueprint = _blueprint(run)
    # What is kept is asked for by shape too, inside a trace: the reading itself is no part of one.
    with jax.ensure_compile_time_eval(), SavedRun(run) as saved:
        step = saved.steps[0]
        shapes = saved.shapes(step)
        wanted = jax.tree.map_with_path(
            lambda path, _: np.empty(shapes[keys(path)].shape, shapes[keys(path)].dtype), blueprint.shapes
        )
        return saved.read(step, {"weights": wanted})["weights"]


def _run(directory: str) -> "RunDirectory":
    # An experiment knows its objectives, and a run directory experiments.
    from train.run_directory import RunDirectory

    return RunDirectory(directory)


def _blueprint(run: "RunDirectory") -> Blueprint:
    """The structure of a run's model, from its stored config."""
    if not run.exists():
        raise FileNotFoundError(f"{run.path} holds no run: it has no config.json; it is to be the reference")
    try:
        return Blueprint(build(json.loads(run.config.read_text())["model"], ModelSpec, "model"))
    except (ValueError, KeyError) as error:
        raise ValueError(f"{run.config} cannot be read: {error}") from None
