"""What an optimizer is: a spec that becomes an optax transformation; and the parts that all of them share."""

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from train.traced import Rate, absent
from train.weights import Weight


@dataclasses.dataclass(frozen=True)
class Optimizer(abc.ABC):
    """How gradients become updates.

    Attributes:
      averages: whether the weights to evaluate, to sample from and to publish are others than those that learn.
    """

    averages: ClassVar[bool] = False

    @abc.abstractmethod
    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """The transformation. `weights` is a tree like the weights, of `train.weights.Weight`."""

    def evaluated(self, kept: Any, weights: Any) -> Any:
        """The weights to evaluate, from what the transformation keeps and the weights that learn."""
        return weights


def clipped(norm: Rate) -> optax.GradientTransformation:
    """Gradients scaled down to this global norm; 0 leaves them."""

    def scaled(updates: Any, _: Any) -> Any:
        length = optax.global_norm(updates)
        # A factor joins the passes over gradients that follow; the quotient of every gradient would be one more.
        factor = jnp.where((length < norm) | (norm == 0), 1.0, norm / length)
        return jax.tree.map(lambda g: g * factor.astype(g.dtype), updates)

    return optax.stateless(scaled) if not absent(norm) else optax.identity()


def decayed(decay: Rate, weights: Any) -> optax.GradientTransformation:
    """Adds `decay` times each weight to its update, as strongly as the weight is to be decayed."""
    shares = jax.tree.map(lambda weight: weight.decay_share, weights)
    if absent(decay) or not any(jax.tree.leaves(shares)):
        return optax.identity()
    if set(jax.tree.leaves(shares)) <= {0.0, 1.0}:
        return optax.add_decayed_weights(decay, mask=jax.tree.map(bool, shares))

    def added(updates: Any, params: Any) -> Any:
        return jax.tree.map(lambda u, w, share: u + decay * share * w, updates, params, shares)

    return optax.stateless(added)


def learning(schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
    """Updates times the learning rate, and times the multiplier of each weight, downhill."""
    rates = jax.tree.map(lambda weight: weight.rate, weights)
    if set(jax.tree.leaves(rates)) <= {1.0}:
        return optax.scale_by_learning_rate(schedule)
    multiplied = optax.stateless(lambda updates, _: jax.tree.map(lambda u, rate: u * rate, updates, rates))
    return optax.chain(multiplied, optax.scale_by_learning_rate(schedule))


def by_root_of_width(weight: Weight) -> Weight:
    """A weight with the rate that suits updates whose elements shrink with the root of the width by themselves.

    Such are orthogonal matrices of 0.2 sqrt(max(inputs, outputs)): what a matrix does to vectors moves with its largest
    singular value, and theirs grows with the root of the width where that of Adam's aligned update grows with the
    width (Yang 2023, arXiv:2310.17813). And such are Adafactor's steps, which are as large as the weights are.
    """
    root = weight.width**0.5
    return dataclasses.replace(
        weight, rate=weight.rate * root, decay=None if weight.decay is None else weight.decay / root
    )


def only(tree: Any, chosen: Any) -> Any:
    """A tree with a node that holds nothing in place of each leaf that is not chosen."""
    return jax.tree.map(lambda leaf, keep: leaf if keep else optax.MaskedNode(), tree, chosen)


def masked_out(node: Any) -> bool:
    """Whether a node of a tree stands, in a partition of an optimizer, for a weight that is another part's."""
    return isinstance(node, optax.MaskedNode)
