"""Sweeps of models of many sizes, each trained for as long as one budget lasts (Hoffmann 2022, section 3.2)."""

from collections.abc import Sequence

from data.spec import replaced
from experiments.ablation.arm import Changes
from experiments.ablation.sweep import Sweep
from experiments.coordinates import widened
from train.experiment import Experiment


def isoflop(parent: Experiment, flops: float, widths: Sequence[int], warmup: float = 0.05) -> Sweep:
    """A setting for each width, with the steps that the budget buys.

    A schedule is to span the run, and a warm-up of so many steps for all sizes would take the most of the shortest
    runs: both move the exponent (Porian 2024, arXiv:2406.19146).

    Args:
      parent: a decoder, whose heads stay as large and become more.
      flops: the budget; see `Experiment.flops_per_token`.
      widths: of the models.
      warmup: its share of the steps.

    Raises ValueError if a budget does not buy a step, or heads would not be whole.
    """
    return tuple(_setting(parent, flops, width, warmup) for width in widths)


def _setting(parent: Experiment, flops: float, width: int, warmup: float) -> Changes:
    model = widened(parent.model, width)
    changes = {
        "model.embed": width,
        "model.attention.heads": model.attention.heads,
        "model.feedforward.hidden": model.feedforward.hidden,
    }
    wide = replaced(parent, changes)
    steps = round(flops / (wide.flops_per_token * wide.batch.tokens(1)))
    if steps < 1:
        raise ValueError(f"a budget of {flops:.3g} FLOPs does not buy a step at width {width}; give it more")
    return {**changes, "steps": steps, "schedule.warmup": round(warmup * steps)}
