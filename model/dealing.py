"""Layers dealt out to the stages of a circular pipeline, from where they lie to where they are computed."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


class Deal(NamedTuple):
    """One exchange, in which each stage sends one part of its layers and gets one.

    Attributes:
      pairs: from which stage to which.
      sent: by stage, which of the parts that lie there it sends.
      got: by stage, which of the parts that it computes it gets.
    """

    pairs: tuple[tuple[int, int], ...]
    sent: tuple[int, ...]
    got: tuple[int, ...]


@functools.cache
def deals(stages: int, repeats: int) -> tuple[Deal, ...]:
    """Exchanges by which part c of all stages * repeats comes to stage c mod stages, there for round c div stages.

    Weights lie with parts s * repeats to (s + 1) * repeats - 1 on stage s, as an array does that is divided in order.
    """
    common, found = math.gcd(stages, repeats), []
    for turn in range(repeats):
        # Stages whose parts go to the same ones, were all to send their first, start apart.
        sent = [(turn + s * common // stages) % repeats for s in range(stages)]
        parts = [s * repeats + i for s, i in enumerate(sent)]
        got = [0] * stages
        for part in parts:
            got[part % stages] = part // stages
        found.append(Deal(tuple((s, part % stages) for s, part in enumerate(parts)), tuple(sent), tuple(got)))
    return tuple(found)


def dealt(
    layers: Any, by: tuple[Deal, ...], number: Int[Array, ""], names: tuple[str, ...], back: bool = False
) -> Any:
    """A stage's arrays [layers, ...] as [repeats, layers, ...] that it computes; with `back` the other way.

    Called within the function of a `jax.shard_map` over the mesh axes `names`, on stage `number`.
    """
    repeats = len(by)

    def exchanged(x: Array) -> Array:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(exchanged(jax.random.key_data(x)), impl=jax.random.key_impl(x))
        x = x if back else x.reshape(repeats, -1, *x.shape[1:])
        result = x if repeats == 1 else jnp.zeros_like(x)
        for deal in by if repeats > 1 else ():
            pairs = [(to, here) for here, to in deal.pairs] if back else list(deal.pairs)
            take, put = (deal.got, deal.sent) if back else (deal.sent, deal.got)
            one = jax.lax.dynamic_index_in_dim(x, jnp.asarray(take)[number], keepdims=False)
            one = jax.lax.ppermute(one, names, pairs)
            result = jax.lax.dynamic_update_index_in_dim(result, one, jnp.asarray(put)[number], 0)
        return result.reshape(-1, *x.shape[2:]) if back else result

    return jax.tree.map(exchanged, layers)
