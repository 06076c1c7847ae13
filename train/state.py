"""The state of training, and how it comes to lie on the devices."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int

from model.parameters import logical_axes
from model.spec import ModelSpec
from sharding.axes import active, apart, gathered, scattered
from sharding.placement import Layout
from train.objective import Objective
from train.safety import Safety, Unguarded
from train.statistic import Statistic
from train.weights import Weight


class TrainState(NamedTuple):
    """All that a step changes.

    Attributes:
      step: steps done.
      position: units of data read or passed over; the next step reads from here on.
      weights: nested dictionary of arrays.
      optimizer: what optax keeps.
      objective: what the objective keeps from step to step; {} for most.
      guard: what is remembered of bad steps; see `train.safety`.
    """

    step: Int[Array, ""]
    position: Int[Array, ""]
    weights: Any
    optimizer: Any
    objective: Any
    guard: Any = {}


class Blueprint:
    """A model's structure without its weights: everything about it that is known before training.

    Attributes:
      graph: structure to merge weights into.
      shapes: tree like the weights, of `jax.ShapeDtypeStruct`.
      axes: tree like the weights, of tuples of logical axis names.
    """

    def __init__(self, config: ModelSpec) -> None:
        self.config = config
        abstract = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
        self.graph, state = nnx.split(abstract)
        self.shapes: Any = nnx.to_pure_dict(state)
        names = logical_axes(state)
        self.axes: Any = jax.tree.map_with_path(lambda path, _: Names(names[keys(path)]), self.shapes)

    def model(self, weights: Any) -> Any:
        """The model with these weights."""
        return nnx.merge(self.graph, weights)

    def weights(self, key: Array) -> Any:
        """Fresh weights."""
        return nnx.to_pure_dict(nnx.state(self.config.build(nnx.Rngs(params=key))))

    @property
    def table(self) -> Any:
        """Tree like the weights, of `Weight`: what an optimizer may know of each."""

        def entry(path: tuple[Any, ...], names: Names, leaf: jax.ShapeDtypeStruct) -> Weight:
            rule = self.config.rule(keys(path), names.axes)
            return Weight(keys(path), names.axes, leaf.shape, rule.rate, rule.decay, width=rule.width)

        return jax.tree.map_with_path(entry, self.axes, self.shapes)

    def count(self) -> int:
        """Number of weights."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.shapes))

    def shardings(self, layout: Layout) -> Any:
        """Tree like the weights, of shardings between steps."""
        return jax.tree.map(lambda names, leaf: layout.kept(names.axes, leaf.shape), self.axes, self.shapes)

    def gathered(self, weights: Any) -> Any:
        """Weights as a placement computes with them, of those that lie as it keeps them."""
        return _each(gathered, self, weights)

    def scattered(self, gradients: Any) -> Any:
        """Gradients in the shares in which weights lie between steps, and are updated."""
        return _each(scattered, self, gradients)

    def told(self, layout: Layout, sequence: int, flops: float) -> Iterator[str]:
        """Lines on the model for people: its size and cost, where it lies, and what the placement cannot divide."""
        mesh = " x ".join(f"{axis} {size}" for axis, size in layout.mesh.shape.items())
        yield (
            f"{self.count():,} weights, {flops:,.0f} FLOPs a token, "
            f"{self.config.skipped(sequence):.0%} of attention's blocks skipped, on {mesh} ({layout.platform})"
        )
        for note in self.undivided(layout):
            yield f"kept whole on every device: {note}"

    def undivided(self, layout: Layout) -> list[str]:
        """Sentences on weights that the placement would shard and cannot."""

        def notes(path: tuple[Any, ...], names: Names, leaf: jax.ShapeDtypeStruct) -> list[str]:
            return [f"{'.'.join(keys(path))}: {note}" for note in layout.undivided(names.axes, leaf.shape)]

        return jax.tree.leaves(jax.tree.map_with_path(notes, self.axes, self.shapes))


def _each(pinned: Callable[..., Array], blueprint: Blueprint, tree: Any) -> Any:
    return jax.tree.map(lambda names, x: pinned(x, *names.axes), blueprint.axes, tree) if apart() else tree


class Names:
    """The logical axes of one weight, as a leaf of a tree."""

    def __init__(self, axes: tuple[str, ...]) -> None:
        self.axes = axes


def keys(path: tuple[Any, ...]) -> tuple[str, ...]:
    """A tree path as plain strings."""
    return tuple(str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part)))) for part in path)


def abstract_state(
    blueprint: Blueprint,
    optimizer: optax.GradientTransformation,
    layout: Layout,
    objective: Objective | None = None,
    safety: Safety = Safety(Unguarded()),
) -> TrainState:
    """The state as shapes with shardings.

    What the optimizer keeps in the shape of a weight, under its path, lies where the weight lies; a `Statistic` where
    its axes do; all else, and what `objective` and `safety` keep, whole on every device. Without those two nothing of
    theirs is kept.
    """
    shardings = blueprint.shardings(layout)
    kept = placed(jax.eval_shape(optimizer.init, blueprint.shapes), blueprint.shapes, shardings, layout)
    count = jax.ShapeDtypeStruct((), jnp.int32, sharding=layout.replicated)
    weighing = {} if objective is None else jax.eval_shape(objective.start)
    weighing, guard = jax.tree.map(
        lambda leaf: _placed(leaf, layout.replicated), (weighing, jax.eval_shape(safety.start))
    )
    return TrainState(count, count, jax.tree.map(_placed, blueprint.shapes, shardings), kept, weighing, guard)


def fresh_state(
    blueprint: Blueprint,
    optimizer: optax.GradientTransformation,
    layout: Layout,
    seed: int,
    objective: Objective | None = None,
    safety: Safety = Safety(Unguarded()),
) -> TrainState:
    """The state before the first step, made in place on the devices; the same on any layout."""

    def make(key: Array) -> TrainState:
        return initial_state(blueprint, optimizer, key, objective, safety)

    abstract = abstract_state(blueprint, optimizer, layout, objective, safety)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    with active(layout):
        return jax.jit(make, out_shardings=shardings)(jax.random.key(seed))


def initial_state(
    blueprint: Blueprint,
    optimizer: optax.GradientTransformation,
    key: Array,
    objective: Objective | None,
    safety: Safety,
) -> TrainState:
    """The state before the first step, as arithmetic: it may be traced."""
    weights, zero = blueprint.weights(key), jnp.zeros((), jnp.int32)
    weighing = {} if objective is None else objective.start()
    return TrainState(zero, zero, weights, optimizer.init(weights), weighing, safety.start())


def placed(kept: Any, weights: Any, shardings: Any, layout: Layout) -> Any:
    """What an optimizer keeps, as shapes with shardings; `weights` and their shardings are trees of the model's."""
    known = {
        keys(path): (leaf.shape, sharding)
        for (path, leaf), sharding in zip(jax.tree.leaves_with_path(weights), jax.tree.leaves(shardings), strict=True)
    }

    def place(path: tuple[Any, ...], leaf: Any) -> Any:
        if isinstance(leaf, Statistic):
            return leaf.with_value(_placed(leaf.value, layout.kept(leaf.axes, leaf.value.shape)))
        names = keys(path)
        # The longest end of the path that is a weight's: the path of one may end like that of another.
        ends = (known[names[start:]] for start in range(len(names)) if names[start:] in known)
        shape, sharding = next(ends, (None, None))
        return _placed(leaf, layout.replicated if sharding is None or shape != leaf.shape else sharding)

    return jax.tree.map_with_path(place, kept, is_leaf=lambda node: isinstance(node, Statistic))


def _placed(leaf: Any, sharding: jax.sharding.Sharding) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
