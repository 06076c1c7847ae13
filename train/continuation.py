"""What may change between one start of a run and the next, and between a run and a branch of it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from data.spec_difference import difference
from train.experiment import Experiment

# How often things are logged and saved, where they lie on devices and what hooks do.
_FREE = ("cadence.", "hooks", "placement")


class Refused(ValueError):
    """Why a run cannot go on so: a sentence whose subject is the run."""


def changes(stored: Experiment, experiment: Experiment, done: int, free: Sequence[str] = ()) -> list[str]:
    """Lines on what would have made the first `done` steps of `stored` others, had it been `experiment`.

    Data may join a mixture at a step that is not passed, and `steps` may be others where the learning rate was the
    same until now; whether the data is the same is for the prepared corpus to tell.

    Args:
      stored: what was run.
      experiment: what is to go on.
      done: steps done.
      free: fields that may change besides, as the beginnings of their keys.

    Raises:
      Refused: if only the step at which something changes is in the way.
    """
    free = [*_FREE, *free]
    if (joining := experiment.data.adds_from(stored.data)) is not None:
        units = experiment.batch.growth.units(done)
        if joining < units:
            at = f"step {done}" + (f", which has read {units} smallest batches" if units != done else "")
            raise Refused(f"is at {at}, but data would join at step {joining}; choose a later step")
        free.append("data.parts.")
    changed = difference(stored, experiment, locations=False)
    lines = [line for line in changed if not line.startswith(tuple(free))]
    if len(lines) == 1 and lines[0].startswith("steps:"):
        _check_length(stored, experiment, done)
        return []
    return lines


def _check_length(stored: Experiment, experiment: Experiment, done: int) -> None:
    if experiment.steps < done:
        raise Refused(f"is at step {done}, and steps={experiment.steps} would end before it")
    found = first_other_rate(stored, experiment, done)
    if found is not None:
        step, before, now = found
        raise Refused(
            f"was begun with steps={stored.steps}; with steps={experiment.steps} its schedule gives step {step}, which "
            f"is done, a learning rate of {now:.4g} instead of {before:.4g}; a run can change its length while its "
            "schedule does not depend on it, as Constant, or WarmupStableDecay before its decay"
        )


def first_other_rate(old: Experiment, new: Experiment, steps: int) -> tuple[int, float, float] | None:
    """The first of `steps` steps that two experiments give another learning rate, and both; None if there is none."""
    if not steps:
        return None
    places = jnp.arange(steps)
    before, now = (np.asarray(jax.vmap(e.schedule.over(e.steps))(places), np.float32) for e in (old, new))
    others = np.flatnonzero(before != now)
    return (int(others[0]), float(before[others[0]]), float(now[others[0]])) if others.size else None
