"""Averages the weights of the last checkpoints of a run: `python -m experiments.average --run=RUN --to=DIR`.

What is written is a run directory with one checkpoint, which evaluate, generate and export open as any other. The
average is plain and over the weights that the run would evaluate (Izmailov 2018, arXiv:1803.05407; over the last
checkpoints of one run, as Vaswani 2017, section 6.1, does). The data stay with the run that was averaged.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from etils import epath

    from data.prepared import DataSpec
    from train.run_directory import RunDirectory


def average(
    run: "RunDirectory", target: Path, steps: Sequence[int], log: Callable[[str], None] = print
) -> "RunDirectory":
    """Writes a run with the mean of the weights after some steps of another, its sums in float32.

    Args:
      run: the run; only read.
      target: the directory to write, new or empty.
      steps: of its checkpoints; the step of what is written is the last of them.
      log: prints a line.

    Raises:
      UsageError: if a step is not there, or none is given.
      ValueError: if a checkpoint cannot be read.
    """
    import jax
    import jax.numpy as jnp

    from model.families.whole import writing_directory
    from sharding.placements import DataParallel
    from train.checkpoint import Checkpoints
    from train.fitting import evaluated
    from train.retention import Keep
    from train.run_directory import RunDirectory
    from train.saved import SavedRun, experiment_of
    from train.start import Site
    from train.state import Blueprint

    experiment = experiment_of(run, DataParallel())
    blueprint, layout = Blueprint(experiment.model), experiment.placement.on()
    add = jax.jit(lambda total, more: jax.tree.map(lambda t, m: t + m.astype(jnp.float32), total, more))
    with SavedRun(run) as saved:
        if missing := sorted(set(steps) - set(saved.steps)):
            there = ", ".join(map(str, reversed(saved.steps)))
            raise console.UsageError(f"{run.path} has no checkpoint of step {missing[0]}; it has {there}")
        if not steps:
            raise console.UsageError("no steps to average are given")
        total = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), blueprint.shapes)
        for step in steps:
            total = add(total, evaluated(saved, step, experiment, blueprint, layout))
        hashes = {str(step): saved.hash(step) for step in steps}
        counters = saved.counters(max(steps), layout)
    weights = jax.tree.map(lambda t, shape: (t / len(steps)).astype(shape.dtype), total, blueprint.shapes)
    weights = jax.device_put(weights, blueprint.shardings(layout))

    prepared = experiment.data.open(run.data)
    written = dataclasses.replace(experiment, data=_lying_there(experiment.data, run.data))
    optimizer = experiment.optimizer.transform(experiment.schedule.over(experiment.steps), blueprint.table)
    state = Site(written, prepared, blueprint, optimizer, layout, log, run).with_weights(weights)
    with writing_directory(target) as temporary:
        new = RunDirectory(temporary)
        new.begin(written, written, ["python", "-m", "experiments.average"])
        new.record_start({"type": "average", "run": str(run.path), "weights": hashes})
        checkpoints = Checkpoints(new.checkpoints, Keep(latest=1), log)
        checkpoints.save(state._replace(**counters))
        checkpoints.close()
    return RunDirectory(target)


def _lying_there(data: "DataSpec", directory: "epath.Path") -> "DataSpec":
    """Data that were prepared in a directory, as they lie there."""
    from data.mixture import Mixture
    from data.prepared import ExistingStore

    if isinstance(data, ExistingStore):
        return data
    if isinstance(data, Mixture):
        parts = (dataclasses.replace(part, data=_lying_there(part.data, directory / part.name)) for part in data.parts)
        return dataclasses.replace(data, parts=tuple(parts))
    return ExistingStore(str(directory) if "://" in str(directory) else os.path.abspath(directory))


def main(argv: list[str]) -> None:
    """Averages one run."""
    from experiments.restore import find_run
    from model.families.whole import refuse_full
    from train.saved import SavedRun

    target = Path(flags.FLAGS.to)
    refuse_full(target, "--to")
    run = find_run(flags.FLAGS.run)
    try:
        steps = [int(step) for step in flags.FLAGS.steps]
    except ValueError:
        raise console.UsageError(f"--steps={','.join(flags.FLAGS.steps)}: steps are whole numbers") from None
    if not steps:
        with SavedRun(run) as saved:
            steps = saved.steps[: flags.FLAGS.last][::-1]
    average(run, target, steps)
    print(f"average: the weights of {run.path} after steps {', '.join(map(str, steps))}, in {target}")


if __name__ == "__main__":
    flags.DEFINE_string("run", None, "run directory", required=True)
    flags.DEFINE_string("to", None, "directory to write; new or empty", required=True)
    flags.DEFINE_integer("last", 5, "how many of the latest checkpoints to average", lower_bound=1)
    flags.DEFINE_list("steps", [], "the steps of the checkpoints to average, instead of the latest: 400,450,500")
    console.run(main)
