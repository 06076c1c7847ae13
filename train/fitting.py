"""Weights from elsewhere made to fit a model: checked by path and shape, grown by the ids they lack, cast, placed."""

from collections.abc import Mapping
from typing import Any

import jax

from sharding.axes import VOCAB, active
from sharding.placement import Layout
from train.experiment import Experiment
from train.saved import SavedRun, Unfit
from train.state import Blueprint, abstract_state, keys

Shapes = Mapping[tuple[str, ...], jax.ShapeDtypeStruct]


def check_fit(found: Shapes, blueprint: Blueprint, place: str) -> int:
    """How many token ids of the model's vocabulary weights of these shapes lack; they fit otherwise.

    Args:
      found: the shapes of the weights, by path.
      blueprint: the model.
      place: where they come from, for the error.

    Raises:
      Unfit: naming the weight that is missing, too many, or of another shape.
    """
    wanted = _by_path(blueprint.shapes)
    axes = _by_path(blueprint.axes)
    where = f"start: {place} does not fit this model:"
    for path in wanted.keys() - found.keys():
        raise Unfit(f"{where} it has no weight {'.'.join(path)}")
    for path in found.keys() - wanted.keys():
        raise Unfit(f"{where} it has a weight {'.'.join(path)}, and the model has not")
    lacking = 0
    for path, shape in wanted.items():
        for axis, here, there in zip(axes[path].axes, shape.shape, found[path].shape, strict=False):
            if axis == VOCAB and there > here:
                raise Unfit(f"{where} it has {there} token ids; set model.vocab={there} or more (it is {here})")
            lacking = max(lacking, here - there if axis == VOCAB else 0)
        if _without_ids(found[path].shape, axes[path].axes) != _without_ids(shape.shape, axes[path].axes):
            raise Unfit(
                f"{where} its {'.'.join(path)} has shape {tuple(found[path].shape)}, and the model's {shape.shape}"
            )
    return lacking


def fitted(weights: Any, blueprint: Blueprint, layout: Layout, seed: int, lacking: int) -> Any:
    """Weights that fit, in the model's precision and placement.

    Token ids that they lack keep the rows of a fresh model of this seed.
    """

    def fit(weights: Any, key: jax.Array) -> Any:
        if not lacking:
            return jax.tree.map(lambda leaf, shape: leaf.astype(shape.dtype), weights, blueprint.shapes)
        return jax.tree.map(
            lambda fresh, leaf: fresh.at[tuple(map(slice, leaf.shape))].set(leaf.astype(fresh.dtype)),
            blueprint.weights(key),
            weights,
        )

    with active(layout):
        return jax.jit(fit, out_shardings=blueprint.shardings(layout))(weights, jax.random.key(seed))


def evaluated(saved: SavedRun, step: int, source: Experiment, blueprint: Blueprint, layout: Layout) -> Any:
    """The weights of a step of a run that it would evaluate, in their own precision; averages where it has any.

    Args:
      saved: the checkpoints of the run.
      step: of which.
      source: the experiment that it is a run of.
      blueprint: a model that the weights fit, but for token ids.
      layout: how they are to lie.

    Raises ValueError if they cannot be read.
    """
    wanted = {"weights": as_tree(saved.shapes(step), blueprint, layout)}
    if not source.optimizer.averages:
        return saved.read(step, wanted)["weights"]
    own = Blueprint(source.model)
    optimizer = source.optimizer.transform(source.schedule.over(source.steps), own.table)
    wanted["optimizer"] = abstract_state(own, optimizer, layout, source.objective).optimizer
    read = saved.read(step, wanted)
    return source.optimizer.evaluated(read["optimizer"], read["weights"])


def as_tree(shapes: Shapes, blueprint: Blueprint, layout: Layout) -> Any:
    """The shapes as a tree like the model's weights, each with its place on the devices."""

    def placed(path: tuple[Any, ...], names: Any) -> jax.ShapeDtypeStruct:
        leaf = shapes[keys(path)]
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout.kept(names.axes, leaf.shape))

    return jax.tree.map_with_path(placed, blueprint.axes)


def _by_path(tree: Any) -> dict[tuple[str, ...], Any]:
    return {keys(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _without_ids(shape: tuple[int, ...], axes: tuple[str, ...]) -> tuple[int | None, ...]:
    names = (*axes, *[""] * (len(shape) - len(axes)))
    return tuple(None if name == VOCAB else size for name, size in zip(names, shape, strict=False))
