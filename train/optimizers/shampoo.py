"""Shampoo, its work spread over the devices."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.optimizers.blocks import Blocks, Pools, apart, kept, times, values
from train.optimizers.graft import DiagonalLength, Graft
from train.optimizers.muon import is_hidden
from train.optimizers.optimizer import Optimizer, clipped, decayed, learning, masked_out, only
from train.optimizers.ranges import fractions, not_negative, positive
from train.statistic import Statistic


class Preconditioners(NamedTuple):
    """Steps done, the mean of steps, sums of squared gradients, and by pool of blocks: sums of products of their rows
    and of their columns, and the inverse fourth roots of those."""

    count: Array
    mean: Any
    squares: Any
    left: dict[str, Statistic]
    right: dict[str, Statistic]
    left_root: dict[str, Statistic]
    right_root: dict[str, Statistic]


@dataclasses.dataclass(frozen=True)
class Shampoo(Optimizer):
    """Shampoo (Gupta 2018, arXiv:1802.09568, algorithm 1), distributed and grafted as in Anil 2020 (arXiv:2002.09018).

    Matrices inside the blocks of a model are preconditioned, cut into blocks of at most `block` a side; statistics
    and roots are spread over all devices, each of which factors its own. The length of a matrix's step is diagonal
    AdaGrad's, which is the method of embeddings, unembeddings and vectors. Gradients are first clipped by global norm.

    Attributes:
      b1: decay of the mean of steps.
      b2: decay of the statistics; 1 sums them, as in the paper.
      eps: added to the eigenvalues of a statistic, as a multiple of the largest.
      every: steps between two computations of the roots.
      block: longest side of a block.
      graft: the length of steps.
      decay: weight decay, times the learning rate.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    b1: float = 0.9
    b2: float = 1.0
    eps: float = 1e-6
    every: int = 1
    block: int = 128
    graft: Graft = DiagonalLength()
    decay: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        fractions(self, "b1")
        if not 0 < self.b2 <= 1:
            raise ValueError(f"Shampoo.b2 is {self.b2}; it is above 0 and at most 1")
        positive(self, "eps", "every", "block")
        not_negative(self, "decay", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip, preconditioned direction, momentum, decay, learning rate."""
        hidden = jax.tree.map(is_hidden, weights)
        blocks = Blocks(only(weights, hidden), self.block)

        def start(params: Any) -> Preconditioners:
            zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.float32), params)
            left, right = (
                {pool: jnp.zeros((shape[0], shape[side], shape[side])) for pool, shape in blocks.shapes.items()}
                for side in (1, 2)
            )
            return Preconditioners(jnp.zeros((), jnp.int32), zeros, zeros, *map(kept, (left, right, left, right)))

        def update(updates: Any, state: Preconditioners, _: Any) -> tuple[Any, Preconditioners]:
            count = state.count + 1
            # Without decay a sum, of which nothing is missing at the start.
            share = 1 - self.b2 if self.b2 < 1 else 1.0
            started = 1 - self.b2 ** count.astype(jnp.float32) if self.b2 < 1 else 1.0
            squares = jax.tree.map(lambda s, g: self.b2 * s + share * jnp.square(g), state.squares, updates)
            diagonal = jax.tree.map(lambda g, s: g / (jnp.sqrt(s / started) + 1e-10), updates, squares)

            gradients = blocks.gathered(only(updates, hidden))
            left = {
                pool: self.b2 * state.left[pool].value + share * times(x, jnp.swapaxes(x, -1, -2))
                for pool, x in gradients.items()
            }
            right = {
                pool: self.b2 * state.right[pool].value + share * times(jnp.swapaxes(x, -1, -2), x)
                for pool, x in gradients.items()
            }

            def computed() -> tuple[Pools, Pools]:
                found = ({pool: apart(self._root, x / started) for pool, x in side.items()} for side in (left, right))
                return next(found), next(found)

            roots = jax.lax.cond(
                state.count % self.every == 0, computed, lambda: (values(state.left_root), values(state.right_root))
            )
            directions = blocks.scattered(
                {pool: times(times(roots[0][pool], x), roots[1][pool]) for pool, x in gradients.items()}
            )

            def stepped(direction: Any, step: Any, weight: Any) -> Any:
                if masked_out(direction):
                    return step
                return self.graft.step(direction, step, tuple(range(weight.stacked, step.ndim)))

            steps = jax.tree.map(stepped, directions, diagonal, weights, is_leaf=masked_out)
            mean = jax.tree.map(lambda m, s: self.b1 * m + (1 - self.b1) * s, state.mean, steps)
            return mean, Preconditioners(count, mean, squares, *map(kept, (left, right, *roots)))

        return optax.chain(
            clipped(self.clip),
            optax.GradientTransformation(start, update),
            decayed(self.decay, weights),
            learning(schedule, weights),
        )

    def _root(self, x: Array) -> Array:
        """The inverse fourth roots of symmetric matrices; of zeros, finite."""
        found, vectors = jnp.linalg.eigh(x)
        ridge = self.eps * found[..., -1:] + 1e-30
        roots = (jnp.maximum(found, 0.0) + ridge) ** -0.25
        return times(vectors * roots[..., None, :], jnp.swapaxes(vectors, -1, -2))
