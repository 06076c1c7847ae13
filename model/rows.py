"""Rows put in another order: all of it by reading, in the gradient too, since writing in any order is slow."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def picked(x: Float[Array, "rows embed"], chosen: Int[Array, " others"]) -> Float[Array, "others embed"]:
    """The chosen rows; 0 for a number beyond them."""
    return jnp.take(x, chosen, axis=0, mode="fill", fill_value=0)


class Ranking(NamedTuple):
    """Choices sorted by expert, and by number within an expert.

    Attributes:
      order: the choices, sorted.
      place: where each of them is in the order.
      sizes: how many each expert has.
    """

    order: Int[Array, " choices"]
    place: Int[Array, " choices"]
    sizes: Int[Array, " experts"]

    @property
    def starts(self) -> Int[Array, " experts"]:
        """Where those of each expert begin in the order."""
        return jnp.cumsum(self.sizes) - self.sizes

    def rank(self, chosen: Int[Array, " choices"]) -> Int[Array, " choices"]:
        """The number of each choice among those of its expert; of no use for a choice of none."""
        return self.place - self.starts[jnp.minimum(chosen, self.sizes.shape[0] - 1)]

    def choice(self, expert: Int[Array, "*rows"], rank: Int[Array, "*rows"]) -> Int[Array, "*rows"]:
        """The choice that has a rank among those of an expert; the number of choices if there are not so many."""
        choices = self.order.shape[0]
        number = jnp.minimum(self.starts[expert] + rank, choices - 1)
        return jnp.where(rank < self.sizes[expert], self.order[number], choices)


def ranking(chosen: Int[Array, " choices"], experts: int) -> Ranking:
    """That of chosen experts; `experts` is the number of none, and comes last."""
    order = jnp.argsort(chosen, stable=True)
    # A sort inverts a permutation faster on TPUs than writing to its places does.
    return Ranking(order, jnp.argsort(order), one_hot(chosen, experts, jnp.int32).sum(0))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def sent(
    x: Float[Array, "tokens embed"], source: Int[Array, " rows"], slot: Int[Array, " choices"], top_k: int
) -> Float[Array, "rows embed"]:
    """The token of each row."""
    return picked(x, source // top_k)


def _sent_backward(top_k: int, slot: Array, dy: Array) -> tuple[Array, None, None]:
    dx = picked(dy, slot).reshape(-1, top_k, dy.shape[-1])
    return dx.astype(jnp.float32).sum(1).astype(dy.dtype), None, None


sent.defvjp(lambda x, source, slot, top_k: (sent(x, source, slot, top_k), slot), _sent_backward)


@jax.custom_vjp
def back(
    y: Float[Array, "rows embed"], source: Int[Array, " rows"], slot: Int[Array, " choices"]
) -> Float[Array, "choices embed"]:
    """The row of each choice; 0 for one that has none."""
    return picked(y, slot)


back.defvjp(
    lambda y, source, slot: (picked(y, slot), source),
    lambda source, dy: (picked(dy, source), None, None),
)


def summed(y: Float[Array, "*tokens top_k embed"]) -> Float[Array, "*tokens embed"]:
    """The sum of what a token's experts give, taken in float32."""
    return y.astype(jnp.float32).sum(-2).astype(y.dtype)


def one_hot(
    chosen: Int[Array, "*choices"], experts: int, dtype: jnp.dtype | type = jnp.float32
) -> Float[Array, "*choices experts"] | Int[Array, "*choices experts"]:
    """1 at the number of each expert; all 0 for a number beyond."""
    return (chosen[..., None] == jnp.arange(experts)).astype(dtype)
