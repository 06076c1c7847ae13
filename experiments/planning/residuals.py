"""What the backward pass of a step keeps of the forward pass, by shapes alone: JAX is asked, nothing is computed."""

import collections
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from model.attention_bias import Alibi, T5Bias
from model.config import TransformerConfig
from model.plan import plan
from model.spec import ModelSpec, OfStacks
from sharding import axes
from sharding.placement import Layout
from train.experiment import Experiment
from train.feed import abstract_batch
from train.state import Blueprint

# Of the last dimension of a tile (TPU's memory layout).
_LANES = 128
_FLOAT32 = 4


@dataclasses.dataclass(frozen=True)
class Residuals:
    """What a micro-batch leaves behind in layers, as shapes [layers, ...] of the whole mesh.

    Attributes:
      leaves: the arrays.
      rows: of the micro-batch.
      ring: devices of a mesh over which a sequence was divided; 0: it was not. What attention keeps of its turns has
        their shares then, one after the other, in place of rows.
      bodies: turns of a loop over layers -> blocks that loops of so many turns go through in one.
    """

    leaves: tuple[jax.ShapeDtypeStruct, ...]
    rows: int
    ring: int = 0
    bodies: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def held(self, experiment: Experiment, layout: Layout) -> "Held":
        """What a device of `layout` has of them, in a micro-batch of `experiment`."""
        scale = micro_rows(experiment) / self.rows
        # What stands beside the same in a narrower format is not held: XLA makes it again in the product that reads it.
        narrow = {leaf.shape for leaf in self.leaves if leaf.dtype.itemsize < _FLOAT32}
        layers, widest = 0.0, dict.fromkeys(self.bodies, 0.0)
        for leaf in self.leaves:
            size = self._share(leaf, experiment, layout) * scale
            layers += size
            if leaf.dtype.itemsize < _FLOAT32 or leaf.shape not in narrow:
                widest[leaf.shape[0]] += size / leaf.shape[0] / self.bodies[leaf.shape[0]]
        return Held(int(layers), int(max(widest.values(), default=0.0)))

    def _share(self, leaf: jax.ShapeDtypeStruct, experiment: Experiment, layout: Layout) -> int:
        if _of_ring(leaf, self.rows, experiment, self.ring):
            return math.prod(leaf.shape) * leaf.dtype.itemsize // layout.mesh.size
        return share(leaf, self.rows, experiment, layout)


class Held(NamedTuple):
    """Bytes of one device.

    Attributes:
      layers: kept of all layers, until the backward pass has gone through them.
      widest: of what one block of the widest layers keeps, what it needs at the same time while it is differentiated.
    """

    layers: int
    widest: int


def micro_rows(experiment: Experiment) -> int:
    """Rows of a micro-batch, over all devices; the largest of a run whose batches grow."""
    batch = experiment.batch
    return batch.batch * batch.growth.factor(experiment.steps - 1) // batch.accumulate


def stacks_of(model: ModelSpec) -> tuple[TransformerConfig, ...]:
    """The stacks of a model."""
    return model.stacks if isinstance(model, OfStacks) else (model,)  # type: ignore[return-value]


def residuals(experiment: Experiment, layout: Layout) -> Residuals:
    """What a micro-batch leaves behind in layers, by the experiment's rematerialisation.

    `jax.vjp` is traced for shapes, and what it would hold on to is counted. Of arrays that have a dimension for each
    layer all is kept. What lies outside of layers is left out: XLA makes it again, or it is logits, which
    `experiments.planning.estimate` counts by itself.
    """
    rows, blueprint = micro_rows(experiment), Blueprint(experiment.model)
    shapes = abstract_batch(experiment.batch.form.fields, rows, layout)

    def pull(weights: Any, batch: Any) -> Any:
        # A key would be one more number; what is dropped by it is made again.
        return jax.vjp(lambda w: experiment.objective.sums(blueprint.model(w), batch, None).loss, weights)[1]

    with axes.active(layout):
        kept = jax.tree.leaves(jax.eval_shape(pull, blueprint.shapes, shapes))
    bodies = _bodies(experiment.model)
    # Weights are held anyway.
    weights = {leaf.shape for leaf in jax.tree.leaves(blueprint.shapes)}
    ring = layout.mesh.size if _ways(layout, axes.SEQ) > 1 else 0
    found = (
        leaf for leaf in kept
        if leaf.ndim > 2 and leaf.shape[0] in bodies and leaf.shape not in weights
        and (_row_axis(leaf.shape[1:], rows) is not None or _of_ring(leaf, rows, experiment, ring))
    )  # fmt: skip
    return Residuals(tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in found), rows, ring, bodies)


def share(leaf: Any, rows: int, experiment: Experiment, layout: Layout) -> int:
    """Bytes that one device holds of a residual [layers, rows, ...], told by the sizes of its dimensions.

    A dimension counts as divided where its size is that of a logical axis which the placement divides.
    """
    shape = list(leaf.shape[1:])
    # Heads of fewer features than a tile has lanes lie in tiles all the same, where a kernel is to read them.
    padded = _LANES if 1 < shape[-1] < _LANES and _for_a_kernel(experiment.model) else shape[-1]
    size = math.prod(leaf.shape) // shape[-1] * padded * leaf.dtype.itemsize
    at = _row_axis(tuple(shape), rows)
    sequence = experiment.batch.sequence
    used: set[str] = set()
    if at is not None:
        merged = shape.pop(at)
        used.update(layout.spread(axes.BATCH))
        if merged % (rows * sequence) == 0:
            used.update(layout.spread(axes.SEQ))
    for axis, length in logical_sizes(experiment):
        ways = _ways(layout, axis)
        if ways > 1 and length in shape and length % ways == 0:
            shape.remove(length)
            # Places of experts are divided by expert, and then by rows no longer: a device divides an array once.
            used.update(layout.spread(axis))
    return size // math.prod(layout.mesh.shape[name] for name in used)


def _of_ring(leaf: Any, rows: int, experiment: Experiment, ring: int) -> bool:
    """Whether a residual is of a ring of so many devices: it then has their shares instead of rows of a sequence."""
    shares, sequence = leaf.shape[1], experiment.batch.sequence
    return bool(ring) and shares % ring == 0 and shares % (rows * sequence) != 0 and sequence not in leaf.shape


def logical_sizes(experiment: Experiment) -> Iterator[tuple[str, int]]:
    """Logical axes of activations, and the sizes that they have in this experiment."""
    yield axes.SEQ, experiment.batch.sequence
    for stack in stacks_of(experiment.model):
        for mixing in stack.mixings:
            yield axes.HEADS, mixing.heads
            yield axes.KV_HEADS, getattr(mixing, "key_heads", mixing.heads)
        for block in dict.fromkeys(stack.blocks):
            for part in (block.feedforward, getattr(block.feedforward, "expert", None)):
                if (hidden := getattr(part, "hidden", None)) is not None:
                    yield axes.MLP, hidden
            if (experts := getattr(block.feedforward, "experts", None)) is not None:
                yield axes.EXPERTS, experts
        yield axes.VOCAB, stack.vocab


def _for_a_kernel(model: ModelSpec) -> bool:
    """Whether attention is a kernel on TPUs, which those are not that add a bias to logits."""
    return not any(
        isinstance(getattr(mixing, "positions", None), Alibi | T5Bias)
        for stack in stacks_of(model) for mixing in stack.mixings
    )  # fmt: skip


def _bodies(model: ModelSpec) -> dict[int, int]:
    found: collections.Counter[int] = collections.Counter()
    for stack in stacks_of(model):
        found.update({run.repeats: 0 for run in plan(stack.blocks).runs})
        for run in plan(stack.blocks).runs:
            found[run.repeats] += run.period
    return dict(found)


def _row_axis(shape: tuple[int, ...], rows: int) -> int | None:
    """The dimension of rows, or of what they are merged with."""
    return next((i for i, size in enumerate(shape) if size >= rows and size % rows == 0), None)


def _ways(layout: Layout, axis: str) -> int:
    return math.prod(layout.mesh.shape[name] for name in layout.spread(axis))
