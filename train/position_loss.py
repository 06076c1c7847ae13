"""Loss by position in the row: what a model gains from the tokens before."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from train.objective import Batch, Objective, Sums


class ByPosition(NamedTuple):
    """Sums over the tokens of stretches of positions; stretch n holds positions 2^n to 2^(n+1) - 1, counted from 1.

    Attributes:
      nll: negative log likelihood in nats, by stretch.
      weight: number of tokens, by stretch.
    """

    nll: Float[Array, " stretches"]
    weight: Float[Array, " stretches"]


def sums_by_position(objective: Objective, model: Any, batch: Batch) -> tuple[Sums, ByPosition]:
    """The objective's sums over a batch, and those by position in the document, or in the row where none is told.

    The loss of a token is the derivative of the sum by the token's weight, since objectives sum losses times
    weights; that costs no second pass through the model, of whatever kind it is.
    """
    weights = batch["weights"]

    def nll(weights: Array) -> tuple[Array, Sums]:
        sums = objective.sums(model, batch | {"weights": weights}, None)
        return sums.nll, sums

    each, sums = jax.grad(nll, has_aux=True)(weights)
    position = batch.get("positions")
    if position is None or position.shape != weights.shape:
        position = jnp.broadcast_to(jnp.arange(weights.shape[-1]), weights.shape)
    stretches = weights.shape[-1].bit_length()
    stretch = jnp.sum(position[..., None] + 1 >= 2 ** jnp.arange(1, stretches), axis=-1)

    def summed(x: Array) -> Array:
        return jnp.stack([jnp.sum(jnp.where(stretch == n, x, 0)) for n in range(stretches)])

    return sums, ByPosition(summed(each * weights), summed(weights))


def position_figures(nll: np.ndarray, weight: np.ndarray, prefix: str = "eval/") -> dict[str, float]:
    """`eval/position_00001/loss`, `eval/position_00002/loss`, `eval/position_00004/loss`, ...: nats a token of each
    stretch that has one, by its first position."""
    return {
        f"{prefix}position_{2**n:05d}/loss": float(nll[n] / weight[n]) for n in range(len(weight)) if weight[n] > 0
    }
