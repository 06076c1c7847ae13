"""Norms of gradients, updates and weights: by what weights are for, or by the layer that they lie in."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sharding.axes import LAYERS
from train.layers import layer_name, layer_numbers
from train.probe import Probe, Seen
from train.weights import Weight

# A group, or for weights that are stacked by layer, one group a layer.
Groups = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class GroupNorms(Probe):
    """Base of probes of norms: those of a group are taken over all its weights together (L2).

    For each group there are `gradient_norm/GROUP`, of the mean loss and before clipping; `update_norm/GROUP` and
    `weight_norm/GROUP`; and `update_share/GROUP`, the norm of the update over that of the weights, of which about
    1e-3 is usual.
    """

    @abc.abstractmethod
    def groups(self, table: Any) -> Callable[[Weight], Groups]:
        """Names the group of each weight of a table, or a group for each index of its first axis."""

    def measured(self, seen: Seen) -> dict[str, Float[Array, ""]]:
        """Norms by group."""
        of = self.groups(seen.table)
        trees = {"gradient": seen.gradients, "update": seen.updates, "weight": seen.weights}
        norms = {name: _norms(seen.table, tree, of) for name, tree in trees.items()}
        found = {f"{name}_norm/{group}": norm for name, groups in norms.items() for group, norm in groups.items()}
        # A group that is all zeros has no share.
        shares = {
            f"update_share/{group}": norms["update"][group] / jnp.maximum(norm, 1e-30)
            for group, norm in norms["weight"].items()
        }
        return found | shares


@dataclasses.dataclass(frozen=True)
class Norms(GroupNorms):
    """By what weights are for: `embedding`, `attention`, `feedforward`, `norms`, ...; a handful, at any depth."""

    def groups(self, table: Any) -> Callable[[Weight], Groups]:
        """A part of a block, over all blocks, or a part of the model outside of blocks."""
        return lambda weight: (_part(weight),)


@dataclasses.dataclass(frozen=True)
class LayerNorms(GroupNorms):
    """By layer: `layer_00`, `layer_01`, ..., and the parts of the model outside of blocks."""

    def groups(self, table: Any) -> Callable[[Weight], Groups]:
        """The layer, or the part of the model."""
        numbers = numbers_of(table)

        def of(weight: Weight) -> Groups:
            place = _place(weight)
            return (_part(weight),) if place is None else tuple(layer_name(number) for number in numbers[place])

        return of


@dataclasses.dataclass(frozen=True)
class GradientTilt(Probe):
    """How the gradient of the last block compares with that of the first: `gradient_norm/last_over_first`.

    At the start it is higher where norms lie on the stream than where they lie beside it (Xiong 2020, figure 3).
    """

    def measured(self, seen: Seen) -> dict[str, Float[Array, ""]]:
        """The norm of all gradients in the last block over that in the first."""
        norms = _norms(seen.table, seen.gradients, LayerNorms().groups(seen.table))
        last = max(number for numbers in numbers_of(seen.table).values() for number in numbers)
        ratio = norms[layer_name(last)] / jnp.maximum(norms[layer_name(0)], 1e-30)
        return {"gradient_norm/last_over_first": ratio}


def numbers_of(table: Any) -> dict[tuple[str, ...], list[int]]:
    """The layers whose weights lie together, in order, by the path to where they lie; `table` is a tree of `Weight`."""
    repeats: dict[tuple[str, ...], dict[int, int]] = {}
    for weight in jax.tree.leaves(table):
        if (place := _place(weight)) is not None:
            repeats.setdefault(place[:-1], {})[int(place[-1])] = weight.shape[0]
    return {
        (*stack, str(place)): numbers
        for stack, places in repeats.items()
        for place, numbers in layer_numbers(places).items()
    }


def _place(weight: Weight) -> tuple[str, ...] | None:
    """The path to the place of a stack that a weight lies in: up to and with its number."""
    if LAYERS not in weight.axes[:1]:
        return None
    return weight.path[: 1 + next(i for i, part in enumerate(weight.path) if part.isdigit())]


def _part(weight: Weight) -> str:
    place = _place(weight)
    return weight.path[0] if place is None else weight.path[len(place)]


def _norms(table: Any, tree: Any, of: Callable[[Weight], Groups]) -> Mapping[str, Float[Array, ""]]:
    squares: dict[str, list[Array]] = {}
    for weight, leaf in zip(jax.tree.leaves(table), jax.tree.leaves(tree), strict=True):
        groups = of(weight)
        square = jnp.square(jnp.asarray(leaf, jnp.float32))
        if len(groups) == 1:
            squares.setdefault(groups[0], []).append(jnp.sum(square))
            continue
        layers = jnp.sum(square.reshape(len(groups), -1), axis=1)
        for i, group in enumerate(groups):
            squares.setdefault(group, []).append(layers[i])
    return {group: jnp.sqrt(sum(parts, jnp.zeros(()))) for group, parts in sorted(squares.items())}
