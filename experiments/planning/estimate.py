"""Memory of a step without compiling it: state by its shardings, activations by what the backward pass keeps.

What XLA does between is a rule of thumb: a step holds the most either where logits are, while all layers wait to be
differentiated, or in the backward pass, where gradients grow while a layer is made again. The compiler's own figures
stand beside it in tests/experiments/planning/test_estimate.py, where they differ by 10% at the most.
"""

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp

from experiments.planning.residuals import Held, Residuals, micro_rows, residuals, stacks_of
from model.config import TransformerConfig
from model.dropless import Dropless
from model.plan import plan
from sharding import axes
from sharding.placement import Layout
from train.experiment import Experiment
from train.memory import held_by
from train.objective import CrossEntropy
from train.state import Blueprint, TrainState

_FLOAT32 = 4
# Where so few devices share the weights, the compiler multiplies with them as they come round, in pieces.
FEW = 16
# Of what a layer computes, the share that it needs at the same time.
_ALIVE = 0.9
# Blocks of a loop's body that XLA has under way at the same time, if there are so many: it computes those again that
# come next.
_UNDER_WAY = 2.5
# Copies of all rows that a device sends to experts elsewhere, and of all that it has room for.
_SENT, _RECEIVED = 4, 3


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
    everything = computed(experiment, layout, traces)
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
        copies=_computed_with(experiment, layout) * number if number < _FLOAT32 else 0,
        layer=_layer(experiment, layout, everything, number),
        accumulated=weights if batch.accumulate > 1 else 0,
    )


def computed(experiment: Experiment, layout: Layout, traces: Traces) -> Held:
    """What all layers compute, as they would keep it without rematerialisation."""
    without = _keeping_all(experiment)
    return traces.of(without, layout).held(without, layout)


def _logits(experiment: Experiment, layout: Layout, number: int) -> int:
    """Logits in float32, and the table if it has to be gathered."""
    batch, stack = experiment.batch, stacks_of(experiment.model)[-1]
    fields = batch.form.fields
    places = fields["targets"].shape[0]
    chunk = experiment.objective.chunk if isinstance(experiment.objective, CrossEntropy) else 0
    local = micro_rows(experiment) * (min(chunk, places) if chunk else places) * stack.vocab
    local //= _ways(layout, axes.BATCH) * _ways(layout, axes.VOCAB) * _ways(layout, axes.SEQ)
    table = stack.embed * stack.vocab // _ways(layout, axes.VOCAB)
    gathered = _gathered(layout, stack.embed)
    if 1 < gathered <= FEW and not chunk:
        # Multiplied in pieces, so that neither the table nor its gradient is ever whole in float32.
        return local * (_FLOAT32 + number) + table * number
    if chunk and batch.accumulate == 1 and gathered > FEW:
        # In one loop over chunks: the table while logits are made, and in its place what a chunk adds to its gradient.
        return local * _FLOAT32 + table * number
    # Its gradient is whole before it is divided again. It is read forwards and backwards: in one loop over chunks as
    # one copy, unless that loop is in another of micro-batches, which gathers beforehand.
    copies = 1 if chunk and batch.accumulate == 1 else 2
    held = _FLOAT32 + (number * copies if gathered > 1 else 0)
    return local * _FLOAT32 + table * held


def _layer(experiment: Experiment, layout: Layout, everything: Held, number: int) -> int:
    """Most of what the widest layer computes, and its weights as they are multiplied with."""
    stacks = stacks_of(experiment.model)
    wide = max(
        block.attention.weight_count(stack.embed)
        + block.feedforward.weight_count(stack.embed) // _ways(layout, axes.EXPERTS)
        for stack in stacks
        for block in dict.fromkeys(stack.blocks)
    )
    wide //= _ways(layout, axes.MLP)
    under_way = min(_UNDER_WAY, max(run.period for stack in stacks for run in plan(stack.blocks).runs))
    gathered = number * wide if _gathered(layout, stacks[-1].embed) > 1 else 0
    return int(everything.widest * _ALIVE * under_way) + gathered + number * _exchanged(experiment, layout)


def _exchanged(experiment: Experiment, layout: Layout) -> int:
    """Numbers that a device holds of tokens on their way to experts of others and back, besides what it keeps of them.

    Each is there in the kernels' layout and in that of the links, and once more with its gradient.
    """
    if _ways(layout, axes.EXPERTS) == 1:
        return 0
    tokens = micro_rows(experiment) * experiment.batch.sequence // _ways(layout, axes.BATCH) // _ways(layout, axes.SEQ)
    found = 0
    for stack in stacks_of(experiment.model):
        for block in dict.fromkeys(stack.blocks):
            if isinstance(dispatch := getattr(block.feedforward, "dispatch", None), Dropless):
                sent = tokens * block.feedforward.top_k * stack.embed
                found = max(found, int(sent * (_SENT + _RECEIVED * dispatch.buffer)))
    return found


def _computed_with(experiment: Experiment, layout: Layout) -> int:
    """Weights of a device while it computes, which may be more than it keeps between steps."""
    blueprint = Blueprint(experiment.model)
    shares = jax.tree.map(
        lambda names, leaf: math.prod(layout.weight(names.axes, leaf.shape).shard_shape(leaf.shape)),
        blueprint.axes, blueprint.shapes,
    )  # fmt: skip
    return sum(jax.tree.leaves(shares))


def _keeping_all(experiment: Experiment) -> Experiment:
    """With all kept, and stacks of as many layers told apart by one more."""
    seen: set[int] = set()

    def kept(model: Any) -> Any:
        if isinstance(model, TransformerConfig):
            layers = next(n for n in itertools.count(model.layers) if n not in seen)
            seen.add(layers)
            return dataclasses.replace(model, remat="none", layers=layers)
        fields = ((field.name, getattr(model, field.name)) for field in dataclasses.fields(model))
        return dataclasses.replace(
            model, **{name: kept(value) for name, value in fields if isinstance(value, TransformerConfig)}
        )

    return dataclasses.replace(experiment, model=kept(experiment.model))


def _gathered(layout: Layout, embed: int) -> int:
    """Devices that weights are gathered from."""
    names = layout.weight((axes.EMBED,), (embed,)).spec[0] or ()
    return math.prod(layout.mesh.shape[name] for name in ((names,) if isinstance(names, str) else names))


def _ways(layout: Layout, axis: str) -> int:
    return math.prod(layout.mesh.shape[name] for name in layout.spread(axis))
