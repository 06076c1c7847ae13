"""Memory of a step without compiling it: state by its shardings, activations by what the backward pass keeps.

What XLA does between is a rule of thumb: a step holds the most either where logits are, while all layers wait to be
differentiated, or in the backward pass, where gradients grow while a layer is made again. The compiler's own figures
for 8 steps stand beside it in tests/experiments/planning/test_estimate.py, where they differ by 5% at the most. Models
of few megabytes are overestimated, by a third of what they take: XLA holds no logits for them.
"""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from experiments.planning.residuals import Held, Residuals, micro_rows, residuals, stacks_of
from sharding import axes
from sharding.placement import Layout
from train.experiment import Experiment
from train.memory import held_by
from train.objective import CrossEntropy
from train.state import TrainState

_FLOAT32 = 4
# Of three parts of what a layer computes, those that it needs at the same time.
_ALIVE = 2


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Bytes of one device.

    Attributes:
      state: weights and what optimizer, objective and guard keep; exact.
      batch: the rows of a step; exact.
      activations: what layers keep for the backward pass.
      logits: with their gradients, and the table that makes them.
      gradients: of all weights.
      copies: weights in the format of the products.
      layer: what one layer needs while it is differentiated: its gathered weights and most of what it computes.
      accumulated: gradients of the micro-batches that are done.
    """

    state: int
    batch: int
    activations: int
    logits: int
    gradients: int
    copies: int
    layer: int
    accumulated: int

    @property
    def peak(self) -> int:
        """All of it at the most."""
        held = self.state + self.batch + self.accumulated + self.copies + self.activations
        return held + max(self.logits, self.gradients + self.layer)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "peak": self.peak}


class Traces:
    """What is left behind by rematerialisation, traced once for each policy: it does not depend on the mesh."""

    def __init__(self) -> None:
        self._found: dict[Any, Residuals] = {}

    def of(self, experiment: Experiment, layout: Layout) -> Residuals:
        """What a micro-batch of the experiment leaves behind."""
        if experiment.model not in self._found:
            self._found[experiment.model] = residuals(experiment, layout)
        return self._found[experiment.model]


def estimate(experiment: Experiment, state: TrainState, layout: Layout, traces: Traces | None = None) -> Estimate:
    """The memory of a step of `experiment` on the mesh of `layout`; `state` is shapes with shardings of it."""
    batch, traces = experiment.batch, traces or Traces()
    units = batch.growth.factor(experiment.steps - 1)
    kept = traces.of(experiment, layout).held(experiment, layout)
    without = _keeping_all(experiment)
    everything = kept
    if without != experiment:
        everything = traces.of(without, layout).held(experiment, layout)
    weights = held_by(state.weights)
    rows = sum(
        math.prod(field.shape) * jnp.dtype(field.dtype).itemsize for field in batch.form.fields.values()
    ) * batch.batch * units // _ways(layout, axes.BATCH)  # fmt: skip
    number = jnp.dtype(stacks_of(experiment.model)[-1].precision.compute_dtype).itemsize
    return Estimate(
        state=held_by(state),
        batch=rows,
        activations=kept.layers,
        logits=_logits(experiment, layout, number),
        gradients=weights,
        copies=weights * number // _FLOAT32 if number < _FLOAT32 else 0,
        layer=_layer(experiment, layout, everything, number),
        accumulated=weights if batch.accumulate > 1 else 0,
    )


def _logits(experiment: Experiment, layout: Layout, number: int) -> int:
    """Logits in float32, their gradient in the format of the products, and the table if it has to be gathered."""
    batch, stack = experiment.batch, stacks_of(experiment.model)[-1]
    fields = batch.form.fields
    places = fields["targets"].shape[0]
    chunk = experiment.objective.chunk if isinstance(experiment.objective, CrossEntropy) else 0
    local = micro_rows(experiment) * (min(chunk, places) if chunk else places) * stack.vocab
    local //= _ways(layout, axes.BATCH) * _ways(layout, axes.VOCAB) * _ways(layout, axes.SEQ)
    table = stack.embed * stack.vocab // _ways(layout, axes.VOCAB)
    gathered = layout.weight((axes.EMBED, axes.VOCAB), (stack.embed, stack.vocab)).spec[0] is not None
    # A chunk adds to the gradient of the whole table, before it is divided again.
    held = (number if gathered else 0) + (_FLOAT32 if chunk or not gathered else 0)
    return local * (_FLOAT32 + (number if gathered else 0)) + table * held


def _layer(experiment: Experiment, layout: Layout, everything: Held, number: int) -> int:
    """Most of what the widest layer computes, and its weights as they are multiplied with."""
    stacks = stacks_of(experiment.model)
    wide = max(
        block.attention.weight_count(stack.embed)
        + block.feedforward.weight_count(stack.embed) // _ways(layout, axes.EXPERTS)
        for stack in stacks
        for block in dict.fromkeys(stack.blocks)
    )
    gathered = layout.weight((axes.EMBED,), (stacks[-1].embed,)).spec[0] is not None
    wide //= _ways(layout, axes.MLP)
    return everything.widest * _ALIVE // 3 + (2 * number * wide if gathered else 0)


def _keeping_all(experiment: Experiment) -> Experiment:
    def kept(model: Any) -> Any:
        changed = {
            field.name: kept(value)
            for field in dataclasses.fields(model)
            if hasattr(value := getattr(model, field.name), "remat")
        }
        return dataclasses.replace(model, **changed, **({"remat": "none"} if hasattr(model, "remat") else {}))

    return dataclasses.replace(experiment, model=kept(experiment.model))


def _ways(layout: Layout, axis: str) -> int:
    return math.prod(layout.mesh.shape[name] for name in layout.spread(axis))
