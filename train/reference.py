"""Another run's model, frozen, for objectives that compare with it."""

import json
import logging
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from data.spec import build
from model.spec import ModelSpec
from train.checkpoint import check_format
from train.digest import digest
from train.state import Blueprint

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
    run = _run(directory)
    blueprint = _blueprint(run)
    step = run.steps_saved()
    if not step:
        raise FileNotFoundError(f"{run.path} has no checkpoint yet; train the reference first")
    # Orbax announces through absl that what is opened to be read is opened to be read.
    logging.getLogger("absl").setLevel(logging.ERROR)
    options = ocp.CheckpointManagerOptions(read_only=True, create=False)
    # What is kept is asked for by shape too, inside a trace: the reading itself is no part of one.
    with (
        jax.ensure_compile_time_eval(),
        ocp.CheckpointManager(run.checkpoints, item_names=("state", "note"), options=options) as manager,
    ):
        note = manager.restore(step, args=ocp.args.Composite(note=ocp.args.JsonRestore()))["note"]
        check_format(note)
        wanted = {"weights": jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), blueprint.shapes)}
        read = manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeRestore(
                    item=wanted,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
                    partial_restore=True,
                )
            ),
        )["state"]["weights"]
        if [int(leaf) for leaf in jax.tree.leaves(jax.jit(digest)(read))] != note["digest"]["weights"]:
            raise ValueError(f"{run.checkpoints / str(step)}: its weights are not those that were saved")
    return read


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
