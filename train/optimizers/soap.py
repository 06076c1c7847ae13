"""SOAP: Adam in the eigenbasis of Shampoo's preconditioners."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.optimizers.blocks import Blocks, Pools, apart, kept, times, values
from train.optimizers.muon import is_hidden
from train.optimizers.optimizer import Optimizer, clipped, decayed, learning, only
from train.optimizers.ranges import fractions, not_negative, positive
from train.statistic import Statistic


class Rotated(NamedTuple):
    """Steps done, the mean of gradients, and by pool of blocks: the mean of squares in the eigenbasis, Shampoo's
    statistics of rows and of columns, and their eigenvectors."""

    count: Array
    mean: Any
    squares: dict[str, Statistic]
    left: dict[str, Statistic]
    right: dict[str, Statistic]
    left_basis: dict[str, Statistic]
    right_basis: dict[str, Statistic]


@dataclasses.dataclass(frozen=True)
class SOAP(Optimizer):
    """SOAP (Vyas 2024, arXiv:2409.11321, algorithm 3), with the values of the authors' code.

    Matrices inside the blocks of a model are preconditioned, cut into blocks where a side is longer than `block`;
    statistics, bases and second moments are spread over all devices. As in the authors' code, the first step only
    starts the bases, and Adam's moments are corrected for their start. Embeddings, unembeddings and vectors are
    Adam's, gradients are first clipped by global norm, and decay is on matrices only.

    Attributes:
      b1: decay of the mean of gradients.
      b2: decay of the mean of their squares, and of Shampoo's statistics.
      eps: added to the root of squares.
      every: steps between two updates of the bases, by one power iteration each.
      block: longest side of a block.
      decay: weight decay, times the learning rate.
      clip: gradients are scaled down to this global norm; 0 leaves them.
    """

    b1: float = 0.95
    b2: float = 0.95
    eps: float = 1e-8
    every: int = 10
    block: int = 10_000
    decay: float = 0.01
    clip: float = 1.0

    def __post_init__(self) -> None:
        fractions(self, "b1", "b2")
        positive(self, "eps", "every", "block")
        not_negative(self, "decay", "clip")

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """Clip; Adam in the eigenbasis, or Adam; decay, learning rate."""
        hidden = jax.tree.map(is_hidden, weights)
        parts = {True: self._rotated(only(weights, hidden)), False: optax.scale_by_adam(self.b1, self.b2, self.eps)}
        return optax.chain(
            clipped(self.clip),
            optax.partition(parts, hidden),
            decayed(self.decay, weights),
            learning(schedule, weights),
        )

    def _rotated(self, weights: Any) -> optax.GradientTransformation:
        blocks = Blocks(weights, self.block)

        def start(params: Any) -> Rotated:
            mean = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.float32), params)
            squares = {pool: jnp.zeros(shape) for pool, shape in blocks.shapes.items()}
            left, right = (
                {pool: jnp.zeros((shape[0], shape[side], shape[side])) for pool, shape in blocks.shapes.items()}
                for side in (1, 2)
            )
            return Rotated(jnp.zeros((), jnp.int32), mean, *map(kept, (squares, left, right, left, right)))

        def update(updates: Any, state: Rotated, _: Any) -> tuple[Any, Rotated]:
            gradients = blocks.gathered(updates)
            return jax.lax.cond(
                state.count == 0, lambda: self._first(updates, gradients, state),
                lambda: self._later(blocks, updates, gradients, state),
            )

        return optax.GradientTransformation(start, update)

    def _first(self, updates: Any, gradients: Pools, state: Rotated) -> tuple[Any, Rotated]:
        left, right = self._statistics(gradients, state)
        bases = ({pool: apart(_eigenvectors, x) for pool, x in side.items()} for side in (left, right))
        started = state._replace(
            count=state.count + 1, left=kept(left), right=kept(right),
            **dict(zip(("left_basis", "right_basis"), map(kept, bases), strict=True)),
        )
        return jax.tree.map(lambda u: jnp.zeros(u.shape, jnp.float32), updates), started

    def _later(self, blocks: Blocks, updates: Any, gradients: Pools, state: Rotated) -> tuple[Any, Rotated]:
        left_basis, right_basis = values(state.left_basis), values(state.right_basis)

        def rotated(pools: Pools) -> Pools:
            return {
                pool: times(times(_transposed(left_basis[pool]), x), right_basis[pool]) for pool, x in pools.items()
            }

        mean = jax.tree.map(lambda m, g: self.b1 * m + (1 - self.b1) * g, state.mean, updates)
        squares = {
            pool: self.b2 * state.squares[pool].value + (1 - self.b2) * jnp.square(x)
            for pool, x in rotated(gradients).items()
        }
        done = state.count.astype(jnp.float32)
        of_mean, of_squares = 1 - self.b1**done, 1 - self.b2**done
        steps = {
            pool: x / of_mean / (jnp.sqrt(squares[pool] / of_squares) + self.eps)
            for pool, x in rotated(blocks.gathered(mean)).items()
        }
        steps = {
            pool: times(times(left_basis[pool], x), _transposed(right_basis[pool])) for pool, x in steps.items()
        }
        left, right = self._statistics(gradients, state)

        def turned() -> tuple[Pools, Pools]:
            return (
                {pool: apart(_power_iteration, left[pool], basis) for pool, basis in left_basis.items()},
                {pool: apart(_power_iteration, right[pool], basis) for pool, basis in right_basis.items()},
            )

        bases = jax.lax.cond(state.count % self.every == 0, turned, lambda: (left_basis, right_basis))
        return blocks.scattered(steps), Rotated(
            state.count + 1, mean, *map(kept, (squares, left, right, *bases))
        )

    def _statistics(self, gradients: Pools, state: Rotated) -> tuple[Pools, Pools]:
        def moved(old: Statistic, product: Array) -> Array:
            return self.b2 * old.value + (1 - self.b2) * product

        return (
            {pool: moved(state.left[pool], times(x, _transposed(x))) for pool, x in gradients.items()},
            {pool: moved(state.right[pool], times(_transposed(x), x)) for pool, x in gradients.items()},
        )


def _transposed(x: Array) -> Array:
    return jnp.swapaxes(x, -1, -2)


def _eigenvectors(x: Array) -> Array:
    return jnp.linalg.eigh(x)[1]


def _power_iteration(statistic: Array, basis: Array) -> Array:
    return jnp.linalg.qr(times(statistic, basis))[0]
