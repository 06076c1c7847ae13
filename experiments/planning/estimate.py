"""Memory of a step without compiling it: state by its shardings, activations by what the backward pass keeps.

What XLA does between is a rule of thumb, checked against its own figures in tests/experiments/planning/test_estimate.py:
a step holds the most either where logits are, while all layers wait to be differentiated, or in the backward pass, where
gradients grow while a layer is made again.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from experiments.planning.residuals import Residuals, residuals, stacks_of
from sharding import axes
from sharding.placement import Layout
from train.experiment import Experiment
from train.memory import held_by
from train.objective import CrossEntropy
from train.program import Programs

_FLOAT32 = 4


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Bytes of one device.

    Attributes:
      state: weights and what optimizer, objective and guard keep; exact.
      batch: the rows of a step; exact.
      activations: what layers keep for the backward pass.
      logits: with their gradients, and the table that makes them.
      gradients: of all weights; twice that where micro-batches are added up.
      copies: weights in the format of the products.
      layer: what one layer needs while it is differentiated: its gathered weights and all that it computes.
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


def estimate(experiment: Experiment, programs: Programs, layout: Layout) -> Estimate:
    """The memory of a step of `experiment` on the mesh of `layout`."""
    batch, state = experiment.batch, programs.abstract
    units = batch.growth.factor(experiment.steps - 1)
    kept = residuals(experiment, programs, layout)
    weights = held_by(state.weights)
    rows = sum(
        math.prod(field.shape) * jnp.dtype(field.dtype).itemsize for field in batch.form.fields.values()
    ) * batch.batch * units // _ways(layout, axes.BATCH)  # fmt: skip
    number = jnp.dtype(stacks_of(experiment.model)[-1].precision.compute_dtype).itemsize
    gradients = weights
    return Estimate(
        state=held_by(state),
        batch=rows,
        activations=kept.layers,
        logits=_logits(experiment, layout, number),
        gradients=gradients,
        copies=weights * number // _FLOAT32 if number < _FLOAT32 else 0,
        layer=_layer(experiment, programs, layout, kept, number),
        accumulated=weights if batch.accumulate > 1 else 0,
    )


def _logits(experiment: Experiment, layout: Layout, number: int) -> int:
    """Logits in float32, their gradient in the format of the products, and the table if it has to be gathered."""
    batch, stack = experiment.batch, stacks_of(experiment.model)[-1]
    fields = batch.form.fields
    places = fields["targets"].shape[0]
    chunk = experiment.objective.chunk if isinstance(experiment.objective, CrossEntropy) else 0
    rows = batch.batch * batch.growth.factor(experiment.steps - 1) // batch.accumulate
    local = rows * (min(chunk, places) if chunk else places) * stack.vocab
    local //= _ways(layout, axes.BATCH) * _ways(layout, axes.VOCAB) * (1 if chunk else _ways(layout, axes.SEQ))
    table = stack.embed * stack.vocab // _ways(layout, axes.VOCAB)
    gathered = layout.weight((axes.EMBED, axes.VOCAB), (stack.embed, stack.vocab)).spec[0] is not None
    # A chunk adds to the gradient of the whole table, before it is divided again.
    held = (number if gathered else 0) + (_FLOAT32 if chunk or not gathered else 0)
    return local * (_FLOAT32 + (number if gathered else 0)) + table * held


def _layer(experiment: Experiment, programs: Programs, layout: Layout, kept: Residuals, number: int) -> int:
    """All that the widest layer computes, and its weights as they are multiplied with."""
    everything = kept
    stacks = stacks_of(experiment.model)
    if any(stack.remat != "none" for stack in stacks):
        everything = residuals(_keeping_all(experiment), programs.of(_keeping_all(experiment), layout), layout)
    wide = max(
        block.attention.matmul_weights(stack.embed) + block.feedforward.matmul_weights(stack.embed)
        for stack in stacks
        for block in dict.fromkeys(stack.blocks)
    )
    gathered = layout.weight((axes.EMBED, axes.MLP), (stacks[-1].embed, wide // stacks[-1].embed)).spec[0] is not None
    wide //= _ways(layout, axes.MLP)
    return everything.widest + (2 * number * wide if gathered else 0)


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
