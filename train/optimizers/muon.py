"""Muon: orthogonalised momentum for the matrices inside the blocks, Adam for everything else."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from sharding.axes import BUCKETS, HEADS, KV_HEADS, LABELS, POSITION, TYPES, VOCAB
from train.optimizers.optimizer import Optimizer, clipped, decayed, learning, masked_out
from train.optimizers.ranges import fractions, not_negative, positive
from train.weights import Weight

# Coefficients of the odd polynomials that bring singular values near 1, one after the other; the last ones serve
# when fewer are wanted (Ahn 2025, arXiv:2504.05295).
_POLYNOMIALS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


@dataclasses.dataclass(frozen=True)
class Muon(Optimizer):
    """Muon (Jordan 2024, kellerjordan.github.io/posts/muon), scaled as in Liu 2025 (arXiv:2502.16982, eq. 4).

    The Nesterov momentum of each matrix inside the blocks is made nearly orthogonal by Newton-Schulz iterations,
    and scaled by 0.2 sqrt(max(inputs, outputs)): as large as Adam's updates, so that both can share a learning
    rate. Layers and experts are orthogonalised apart, the heads of one projection together. Embeddings, unembeddings
    and vectors are Adam's. Gradients are first clipped by global norm.

    Attributes:
      momentum: decay of the sum of the matrices' gradients.
      iterations: of Newton-Schulz, 1 to 5; fewer cost less and leave singular values further from 1.
      decay: weight decay of these matrices, times the learning rate.
      b1: Adam's decay of the mean of gradients.
      b2: Adam's decay of the mean of their squares.
      eps: Adam's, added to the root of the second.
      rate: learning rate of Adam's weights, as a multiple of the matrices'.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    momentum: float = 0.95
    iterations: int = 5
    decay: float = 0.1
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    rate: float = 1.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.iterations <= len(_POLYNOMIALS):
            raise ValueError(f"Muon.iterations is {self.iterations}; it is 1 to {len(_POLYNOMIALS)}")
        fractions(self, "momentum", "b1", "b2")
        positive(self, "eps")
        not_negative(self, "decay", "rate", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip; orthogonalised momentum and decay, or Adam; learning rate."""

        def orthogonalised(updates: Any, _: Any) -> Any:
            return jax.tree.map(self._step, updates, weights, is_leaf=masked_out)

        hidden = jax.tree.map(is_hidden, weights)
        weights = jax.tree.map(lambda w, inside: _for_muon(w) if inside else w, weights, hidden)
        of_blocks = jax.tree.map(lambda w, inside: w if inside else dataclasses.replace(w, decay=0.0), weights, hidden)
        parts = {
            True: optax.chain(optax.trace(self.momentum, nesterov=True), optax.stateless(orthogonalised)),
            False: optax.chain(optax.scale_by_adam(self.b1, self.b2, self.eps), optax.scale(self.rate)),
        }
        return optax.chain(
            clipped(self.clip),
            optax.partition(parts, hidden),
            decayed(self.decay, of_blocks),
            learning(schedule, weights),
        )

    def _step(self, momentum: Any, weight: Weight) -> Any:
        if masked_out(momentum):
            return momentum
        axes, shape = weight.axes, momentum.shape
        stack = shape[: weight.stacked]
        # Heads and their features are one side of a matrix, the last or the first.
        leading = axes[len(stack)] in (HEADS, KV_HEADS)
        flat = (*stack, -1, shape[-1]) if leading else (*stack, shape[len(stack)], -1)
        plain = momentum.reshape(flat)
        scale = 0.2 * math.sqrt(max(plain.shape[-2:]))
        return (scale * orthogonal(plain, self.iterations)).reshape(shape)


def orthogonal(x: Float[Array, "*stack rows columns"], iterations: int) -> Float[Array, "*stack rows columns"]:
    """The nearest matrix with equal singular values, about 1, by Newton-Schulz iterations (Jordan 2024).

    Each maps the singular values s of X / |X| to a s + b s^3 + c s^5. Of 0 it makes 0.
    """
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else jnp.swapaxes(x, -1, -2)
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-8)
    for a, b, c in _POLYNOMIALS[-iterations:]:
        square = x @ jnp.swapaxes(x, -1, -2)
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else jnp.swapaxes(x, -1, -2)


def _for_muon(weight: Weight) -> Weight:
    """A weight with the rate that is right for orthogonal updates of 0.2 sqrt(max(inputs, outputs)).

    What a matrix does to vectors moves with its largest singular value, and this update's grows with the root of the
    width where that of Adam's aligned update grows with the width (Yang 2023, arXiv:2310.17813).
    """
    root = weight.width**0.5
    return dataclasses.replace(
        weight, rate=weight.rate * root, decay=None if weight.decay is None else weight.decay / root
    )


def is_hidden(weight: Weight) -> bool:
    """Whether a weight is a matrix inside the blocks, rather than a table, an unembedding, or a vector."""
    return weight.matrix and not {VOCAB, POSITION, TYPES, BUCKETS, LABELS} & set(weight.axes)
