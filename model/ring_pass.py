"""The two passes of ring attention, as one device goes through them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array

from model.kernels import FORBIDDEN
from model.masks import Places
from model.ring_block import Blame, Found, Pair, Slopes, Work, nothing
from model.ring_order import Order, moved

# The name under which a rematerialisation policy keeps what the backward pass needs, as with the splash kernel.
KEPT = "splash"
# Turns up to which they are written out, rather than a loop between the first and the last.
_UNROLLED = 3


class Inputs(NamedTuple):
    """What a device has of a row, in chunks on a first axis.

    Attributes:
      q: [chunks, batch, kv_heads, group, queries, head_dim].
      k: [chunks, batch, kv_heads, keys, head_dim].
      v: [chunks, batch, kv_heads, keys, value_dim].
      sinks: [kv_heads, group] or None.
      bias: [chunks, batch or 1, kv_heads or 1, group or 1, queries, keys of the whole row], or None.
      kept: the same, boolean: what dropout keeps; or None.
      query: index [chunks, batch or 1, queries], or None where it follows from the chunk's number; the others [chunks,
        batch, queries] or None.
      key: the same of the keys.
    """

    q: Array
    k: Array
    v: Array
    sinks: Array | None
    bias: Array | None
    kept: Array | None
    query: Places
    key: Places


class _Held(NamedTuple):
    """What goes round."""

    k: Array
    v: Array
    key: Places


class _Grown(NamedTuple):
    """Derivatives that have been gathered: of the device's own queries and bias, and of the keys that it holds."""

    q: Array
    bias: Array | None
    k: Array
    v: Array


def ring_attention(order: Order, names: tuple[str, ...], work: Work) -> Callable[[Inputs], Array]:
    """Attention of a device's queries over the keys of all.

    The result is [chunks, batch, kv_heads, group, queries, value_dim], in the format of values.

    The forward pass sends keys and values on before it computes with them, so that the two can overlap. The backward
    pass sends them round again, and behind them what has been gathered of their derivatives.

    Args:
      order: who holds what, and in which turns keys come.
      names: mesh axes that the sequence is divided over; none where every device has all keys.
      work: how a pair of chunks is computed.
    """

    def forward(given: Inputs) -> Found:
        def turn(held: _Held, found: Found, number: Array | int) -> Found:
            return Found(*_over_pairs(order, names, work, given, held, number, found))

        found = nothing(given.q, given.v)
        found = _round(order, names, _start(order, names, given), found, turn, lambda found: found)
        if given.sinks is not None:
            with_sinks = jnp.logaddexp(found.log_sum, given.sinks.astype(jnp.float32)[..., None])
            found = Found(found.mixed * jnp.exp(found.log_sum - with_sinks)[..., None], with_sinks)
        return found._replace(mixed=found.mixed.astype(given.v.dtype))

    @jax.custom_vjp
    def attention(given: Inputs) -> Array:
        return forward(given).mixed

    def kept(given: Inputs) -> tuple[Array, Any]:
        found = Found(*(checkpoint_name(part, KEPT) for part in forward(given)))
        return found.mixed, (given, found)

    def backward(saved: tuple[Inputs, Found], d_mixed: Array) -> tuple[Inputs]:
        given, (mixed, log_sum) = saved
        blind = log_sum <= FORBIDDEN
        blame = Blame(d_mixed, mixed, jnp.where(blind, -FORBIDDEN, log_sum))

        def turn(held: _Held, grown: _Grown, number: Array | int) -> _Grown:
            return _against_pairs(order, names, work, given, held, number, blame, grown)

        start = _Grown(*(None if x is None else jnp.zeros(x.shape, jnp.float32)
                         for x in (given.q, given.bias, given.k, given.v)))  # fmt: skip

        def sent(grown: _Grown) -> _Grown:
            k, v = moved((grown.k, grown.v), names, order.ways, 1)
            return grown._replace(k=k, v=v)

        grown = _round(order, names, _start(order, names, given), start, turn, sent)
        # Whose they are is now as far behind as the last turn's keys have come.
        d_k, d_v = moved((grown.k, grown.v), names, order.ways, -(order.first + order.turns - 1))
        d_sinks = None
        if given.sinks is not None:
            share = jnp.exp(given.sinks.astype(jnp.float32)[..., None] - blame.log_sum)
            d_sinks = -(share * blame.delta).sum((0, 1, 4)).astype(given.sinks.dtype)
        return (
            Inputs(
                grown.q.astype(given.q.dtype), d_k.astype(given.k.dtype), d_v.astype(given.v.dtype), d_sinks,
                None if grown.bias is None else grown.bias.astype(given.bias.dtype),
                None, Places(None), Places(None),
            ),
        )  # fmt: skip

    attention.defvjp(kept, backward)
    return attention


def _start(order: Order, names: tuple[str, ...], given: Inputs) -> _Held:
    return moved(_Held(given.k, given.v, given.key), names, order.ways, order.first)


def _round(
    order: Order,
    names: tuple[str, ...],
    held: _Held,
    state: Any,
    turn: Callable[[_Held, Any, Any], Any],
    sent: Callable[[Any], Any],
) -> Any:
    """All turns. The next keys, and what follows `sent` of the state, are under way while a turn computes.

    A turn gets the state of before and gives what is to be sent after the next.
    """

    def one(carry: tuple[_Held, Any], number: Array | int) -> tuple[tuple[_Held, Any], None]:
        held, state = carry
        return (moved(held, names, order.ways, 1), turn(held, sent(state), number)), None

    last = order.turns - 1
    if order.turns <= _UNROLLED:
        for number in range(last):
            # Nothing has been gathered yet in the first turn.
            state = turn(held, sent(state) if number else state, number)
            held = moved(held, names, order.ways, 1)
    else:
        # At home, where most begin, a device meets its own chunks, which the mask cuts otherwise than those of others.
        state, held = turn(held, state, 0), moved(held, names, order.ways, 1)
        (held, state), _ = jax.lax.scan(one, (held, state), jnp.arange(1, last))
    return turn(held, sent(state) if last else state, last)


def _over_pairs(
    order: Order, names: tuple[str, ...], work: Work, given: Inputs, held: _Held, number: Any, found: Found
) -> Found:
    """What the device's queries have found once they have seen the keys that are there in this turn."""
    for mine, theirs, pair, needed in _pairs(order, names, given, held, number):
        before = Found(found.mixed[mine], found.log_sum[mine])

        def more(before: Found = before, mine: int = mine, theirs: int = theirs, pair: Pair = pair) -> Found:
            return before.joined(work.forward(given.q[mine], held.k[theirs], held.v[theirs], pair))

        after = more() if needed is None else jax.lax.cond(needed, more, lambda before=before: before)
        found = Found(*(whole.at[mine].set(part) for whole, part in zip(found, after, strict=True)))
    return found


def _against_pairs(
    order: Order,
    names: tuple[str, ...],
    work: Work,
    given: Inputs,
    held: _Held,
    number: Any,
    blame: Blame,
    grown: _Grown,
) -> _Grown:
    """The same of the backward pass."""
    for mine, theirs, pair, needed in _pairs(order, names, given, held, number):
        bias = None if grown.bias is None else grown.bias[mine]
        before = Slopes(grown.q[mine], grown.k[theirs], grown.v[theirs], bias)

        def more(before: Slopes = before, mine: int = mine, theirs: int = theirs, pair: Pair = pair) -> Slopes:
            its = Blame(*(part[mine] for part in blame))
            found = work.backward(given.q[mine], held.k[theirs], held.v[theirs], pair, its)
            bias = None
            if found.bias is not None:
                start = pair.chunks[1] * found.bias.shape[-1]
                bias = jax.lax.dynamic_update_slice_in_dim(before.bias, found.bias, start, before.bias.ndim - 1)
            return Slopes(before.q + found.q, before.k + found.k, before.v + found.v, bias)

        after = more() if needed is None else jax.lax.cond(needed, more, lambda before=before: before)
        grown = _Grown(
            grown.q.at[mine].set(after.q),
            None if after.bias is None else grown.bias.at[mine].set(after.bias),
            grown.k.at[theirs].set(after.k),
            grown.v.at[theirs].set(after.v),
        )
    return grown


def _pairs(order: Order, names: tuple[str, ...], given: Inputs, held: _Held, number: Any) -> Any:
    """Each pair of chunks that may have to be computed, and whether it has to, on this device and in this turn."""
    own = jax.lax.axis_index(names) if names else 0
    # What follows from a device's number and from segments, JAX would work out once for all layers, and keep for every
    # turn: masks, and whole arrays of zeros for conditionals. So these are made to look as if they came with the keys.
    (own, keys_at), _ = jax.lax.optimization_barrier(((jnp.asarray(own), held.key), held.k))
    owner = (own - order.first - number) % order.ways
    chunks = jnp.asarray(order.held)
    for mine in range(order.chunks):
        for theirs in range(order.chunks):
            among = order.meeting(mine, theirs, number if isinstance(number, int) else None)
            numbers, needed = (chunks[own, mine], chunks[owner, theirs]), None
            if order.seen is not None:
                some = order.seen[among] > 0
                if not some.any():
                    continue
                needed = None if some.all() else jnp.asarray(order.seen > 0)[numbers]
            query = _placed(given.query, mine, numbers[0], given.q.shape[-2])
            keys = held.k.shape[-2]
            key = _placed(keys_at, theirs, numbers[1], keys)
            bias, kept = (
                None if x is None else jax.lax.dynamic_slice_in_dim(x[mine], numbers[1] * keys, keys, x.ndim - 2)
                for x in (given.bias, given.kept)
            )
            yield mine, theirs, Pair(query, key, numbers, among, bias, kept), needed


def _placed(places: Places, chunk: int, number: Array, length: int) -> Places:
    """Where a chunk stands."""
    chosen = Places(*(None if x is None else x[chunk] for x in places))
    if chosen.index is not None:
        return chosen
    return chosen._replace(index=(number * length + jnp.arange(length))[None])
