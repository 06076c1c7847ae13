"""Optimizers: specs that become optax transformations."""

import abc
import dataclasses
from typing import Any

import optax

from sharding.axes import EXPERTS, HEAD_DIM, LAYERS

Axes = dict[tuple[str, ...], tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Optimizer(abc.ABC):
    """How gradients become updates."""

    @abc.abstractmethod
    def transform(self, schedule: optax.Schedule, matrices: Any) -> optax.GradientTransformation:
        """The transformation. `matrices` is a tree like the weights, of `Matrix`: true where a weight is a matrix."""


@dataclasses.dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled decay (Loshchilov and Hutter 2017), on matrices only, after clipping by global norm.

    Attributes:
      b1: decay of the mean of gradients.
      b2: decay of the mean of their squares.
      eps: added to the root of the second.
      decay: weight decay, times the learning rate; norms, biases and other vectors are spared.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    decay: float = 0.1
    clip: float = 1.0

    def transform(self, schedule: optax.Schedule, matrices: Any) -> optax.GradientTransformation:
        """Clip, Adam, decay, learning rate."""
        return optax.chain(
            optax.clip_by_global_norm(self.clip) if self.clip else optax.identity(),
            optax.scale_by_adam(self.b1, self.b2, self.eps),
            optax.add_decayed_weights(self.decay, mask=matrices),
            optax.scale_by_learning_rate(schedule),
        )


def is_matrix(axes: tuple[str, ...]) -> bool:
    """Whether a weight with these logical axes multiplies activations, or is a table of vectors.

    In front, layers and experts only stack weights, and heads with their features are one axis: biases of heads
    are vectors. Behind, experts are what a router's matrix gives logits of.
    """
    own = [axis for i, axis in enumerate(axes) if axis not in (LAYERS, EXPERTS) or set(axes[:i]) - {LAYERS}]
    if HEAD_DIM in own and len(own) > 1:
        own.remove(HEAD_DIM)
    return len(own) >= 2


@dataclasses.dataclass(frozen=True)
class Matrix:
    """The logical axes of a weight, as a leaf of a tree that is true where `is_matrix` is."""

    axes: tuple[str, ...]

    def __bool__(self) -> bool:
        return is_matrix(self.axes)
