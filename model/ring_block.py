"""What one stretch of queries makes of one stretch of keys, and its gradient: the work of one turn of a ring."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from model.kernels import FORBIDDEN
from model.masks import Mask, Places


class Pair(NamedTuple):
    """A stretch of queries and one of keys.

    Attributes:
      query: index [batch or 1, queries], segment and prefix [batch, queries] or None.
      key: the same of the keys.
      chunks: numbers of the two stretches in their rows, which may depend on the device.
      among: numbers that they may be, integers of NumPy, of one shape.
      bias: [batch or 1, kv_heads or 1, group or 1, queries, keys], or None.
      kept: which pairs dropout keeps, of the same shape, or None.
    """

    query: Places
    key: Places
    chunks: tuple[Array, Array]
    among: tuple[np.ndarray, np.ndarray]
    bias: Array | None = None
    kept: Array | None = None


class Found(NamedTuple):
    """What queries have gathered so far.

    Attributes:
      mixed: [batch, kv_heads, group, queries, value_dim], float32: the mean of the values seen.
      log_sum: [batch, kv_heads, group, queries], float32: log of the softmax's sum; `FORBIDDEN` where nothing was seen.
    """

    mixed: Array
    log_sum: Array

    def joined(self, other: "Found") -> "Found":
        """The softmax over the keys of both (Milakov 2018, arXiv:1805.02867; Dao 2022, section 3.1)."""
        top = jnp.maximum(self.log_sum, other.log_sum)
        ours, theirs = jnp.exp(self.log_sum - top), jnp.exp(other.log_sum - top)
        total = ours + theirs
        mixed = (self.mixed * ours[..., None] + other.mixed * theirs[..., None]) / total[..., None]
        # Twice nothing stays nothing, exactly.
        return Found(mixed, jnp.where(top <= FORBIDDEN, FORBIDDEN, top + jnp.log(total)))


class Blame(NamedTuple):
    """What a backward pass needs of queries: the derivative of their output, and what it came of.

    Attributes:
      d_mixed: [batch, kv_heads, group, queries, value_dim].
      mixed: the output over all keys, of the same shape.
      log_sum: over all keys, sinks included; huge where nothing was seen, so that probabilities come out as 0.
    """

    d_mixed: Array
    mixed: Array
    log_sum: Array

    @property
    def delta(self) -> Array:
        """The mean of the probabilities' derivatives, by them (Dao 2022, appendix B.2)."""
        return (self.d_mixed.astype(jnp.float32) * self.mixed.astype(jnp.float32)).sum(-1)


class Slopes(NamedTuple):
    """Derivatives by q, k, v and bias, float32."""

    q: Array
    k: Array
    v: Array
    bias: Array | None


class Work(abc.ABC):
    """A way to compute a pair: q [batch, kv_heads, group, queries, head_dim], k and v [batch, kv_heads, keys, ...]."""

    @abc.abstractmethod
    def forward(self, q: Array, k: Array, v: Array, pair: Pair) -> Found:
        """Softmax attention over these keys."""

    @abc.abstractmethod
    def backward(self, q: Array, k: Array, v: Array, pair: Pair, blame: Blame) -> Slopes:
        """Its part of the gradient, from probabilities that are computed again."""


@dataclasses.dataclass(frozen=True, eq=False)
class Plain(Work):
    """In XLA, any mask and scores, `block` queries and keys at a time.

    Attributes:
      mask: who sees whom.
      scale: factor on products of queries and keys.
      softcap: see `Scores`.
      rate: of dropout.
      block: logits are held of so many queries and keys.
      needed: [blocks of queries, blocks of keys] of the row, whether the mask leaves any pair; None: not known.
    """

    mask: Mask
    scale: float
    softcap: float
    rate: float
    block: int
    needed: np.ndarray | None

    def forward(self, q: Array, k: Array, v: Array, pair: Pair) -> Found:
        """Blocks of queries one after the other, each over blocks of keys."""
        rows, columns = fitting(self.block, q.shape[-2]), fitting(self.block, k.shape[-2])
        if (rows, columns) == (q.shape[-2], k.shape[-2]):
            return self._forward(q, k, v, pair)

        def of_queries(i: Array) -> Found:
            own = _rows(q, i, rows)

            def of_keys(found: Found, j: Array) -> tuple[Found, None]:
                def more() -> Found:
                    part = _part(pair, (i, j), (rows, columns))
                    return found.joined(self._forward(own, _rows(k, j, columns), _rows(v, j, columns), part))

                return self._if_needed(pair, (i, j), (q.shape[-2] // rows, k.shape[-2] // columns), more, found), None

            return jax.lax.scan(of_keys, nothing(own, v), jnp.arange(k.shape[-2] // columns))[0]

        found = jax.lax.map(of_queries, jnp.arange(q.shape[-2] // rows))
        return Found(_joined(found.mixed, -2), _joined(found.log_sum, -1))

    def backward(self, q: Array, k: Array, v: Array, pair: Pair, blame: Blame) -> Slopes:
        """Blocks of keys one after the other, each over blocks of queries."""
        rows, columns = fitting(self.block, q.shape[-2]), fitting(self.block, k.shape[-2])
        if (rows, columns) == (q.shape[-2], k.shape[-2]):
            return self._backward(q, k, v, pair, blame)
        counts = (q.shape[-2] // rows, k.shape[-2] // columns)

        def of_keys(d_q: Array, j: Array) -> tuple[Array, Slopes]:
            keys, values = _rows(k, j, columns), _rows(v, j, columns)

            def of_queries(carry: tuple[Array, Array, Array], i: Array) -> tuple[Any, Array | None]:
                d_q, d_k, d_v = carry
                own = _rows(q, i, rows)
                its = Blame(*(_rows(x, i, rows, axis) for x, axis in zip(blame, (-2, -2, -1), strict=True)))
                part = _part(pair, (i, j), (rows, columns))
                bias = None if pair.bias is None else jnp.zeros(_rows(part.bias, 0, rows).shape, jnp.float32)
                none = Slopes(_zeros(own), _zeros(keys), _zeros(values), bias)
                found = self._if_needed(
                    pair, (i, j), counts, lambda: self._backward(own, keys, values, part, its), none
                )
                d_q = jax.lax.dynamic_update_slice_in_dim(
                    d_q, _rows(d_q, i, rows) + found.q, i * rows, d_q.ndim - 2
                )
                return (d_q, d_k + found.k, d_v + found.v), found.bias

            start = (d_q, _zeros(keys), _zeros(values))
            (d_q, d_k, d_v), d_bias = jax.lax.scan(of_queries, start, jnp.arange(counts[0]))
            return d_q, Slopes(None, d_k, d_v, None if d_bias is None else _joined(d_bias, -2))

        d_q, found = jax.lax.scan(of_keys, _zeros(q), jnp.arange(counts[1]))
        d_bias = None if found.bias is None else _joined(found.bias, -1)
        return Slopes(d_q, _joined(found.k, -2), _joined(found.v, -2), d_bias)

    def _if_needed(
        self, pair: Pair, at: tuple[Array, Array], counts: tuple[int, int], work: Callable[[], Any], otherwise: Any
    ) -> Any:
        if self.needed is None:
            return work()
        row, column = (chunk * count + i for chunk, count, i in zip(pair.chunks, counts, at, strict=True))
        return jax.lax.cond(jnp.asarray(self.needed)[row, column], work, lambda: otherwise)

    def _logits(self, q: Array, k: Array, pair: Pair) -> tuple[Array, Array, Array]:
        """Logits before and with the bias, and who is seen, [batch or 1, 1, 1, queries, keys]."""
        query, key = (
            Places(*(None if part is None else jnp.expand_dims(part, axis) for part in places))
            for places, axis in ((pair.query, (1, 2, 4)), (pair.key, (1, 2, 3)))
        )
        logits = jnp.einsum("bkgtd,bksd->bkgts", q, k, preferred_element_type=jnp.float32) * self.scale
        capped = self.softcap * jnp.tanh(logits / self.softcap) if self.softcap else logits
        biased = capped if pair.bias is None else capped + pair.bias.astype(jnp.float32)
        return capped, biased, self.mask.allowed(query, key)

    def _kept(self, x: Array, pair: Pair) -> Array:
        return x if pair.kept is None else jnp.where(pair.kept, x / (1 - self.rate), 0)

    def _forward(self, q: Array, k: Array, v: Array, pair: Pair) -> Found:
        _, logits, seen = self._logits(q, k, pair)
        top = jnp.where(seen, logits, FORBIDDEN).max(-1, keepdims=True)
        weights = jnp.where(seen, jnp.exp(jnp.where(seen, logits, FORBIDDEN) - top), 0)
        total = weights.sum(-1)
        some = total > 0
        mixed = jnp.einsum(
            "bkgts,bkse->bkgte", self._kept(weights, pair).astype(v.dtype), v, preferred_element_type=jnp.float32
        )
        total = jnp.where(some, total, 1)
        return Found(mixed / total[..., None], jnp.where(some, top[..., 0] + jnp.log(total), FORBIDDEN))

    def _backward(self, q: Array, k: Array, v: Array, pair: Pair, blame: Blame) -> Slopes:
        capped, logits, seen = self._logits(q, k, pair)
        weights = jnp.exp(jnp.where(seen, logits, FORBIDDEN) - blame.log_sum[..., None])
        d_mixed = blame.d_mixed.astype(v.dtype)
        d_weights = self._kept(
            jnp.einsum("bkgte,bkse->bkgts", d_mixed, v, preferred_element_type=jnp.float32), pair
        )
        d_logits = weights * (d_weights - blame.delta[..., None])
        d_bias = None if pair.bias is None else _like(d_logits, pair.bias)
        if self.softcap:
            d_logits = d_logits * (1 - jnp.square(capped / self.softcap))
        d_logits = (d_logits * self.scale).astype(q.dtype)
        weights = self._kept(weights, pair).astype(v.dtype)
        product = jnp.einsum
        return Slopes(
            product("bkgts,bksd->bkgtd", d_logits, k, preferred_element_type=jnp.float32),
            product("bkgts,bkgtd->bksd", d_logits, q, preferred_element_type=jnp.float32),
            product("bkgts,bkgte->bkse", weights, d_mixed, preferred_element_type=jnp.float32),
            d_bias,
        )


def nothing(q: Array, v: Array) -> Found:
    """What queries have before they have seen any key."""
    return Found(
        jnp.zeros((*q.shape[:-1], v.shape[-1]), jnp.float32), jnp.full(q.shape[:-1], FORBIDDEN, jnp.float32)
    )


def fitting(most: int, length: int) -> int:
    """The largest divisor of `length` that is not above `most`."""
    return next(size for size in range(min(most, length), 0, -1) if length % size == 0)


def _rows(x: Array, number: Array | int, size: int, axis: int = -2) -> Array:
    return jax.lax.dynamic_slice_in_dim(x, number * size, size, axis % x.ndim)


def _part(pair: Pair, at: tuple[Array, Array], sizes: tuple[int, int]) -> Pair:
    """A pair of blocks of a pair."""
    query, key = (
        Places(*(None if x is None else _rows(x, i, size, -1) for x in places))
        for places, i, size in zip((pair.query, pair.key), at, sizes, strict=True)
    )
    bias, kept = (
        None if x is None else _rows(_rows(x, at[0], sizes[0]), at[1], sizes[1], -1) for x in (pair.bias, pair.kept)
    )
    return pair._replace(query=query, key=key, bias=bias, kept=kept)


def _joined(parts: Array, axis: int) -> Array:
    """Blocks on a first axis, laid one after the other along `axis`."""
    place = parts.ndim - 1 + axis
    shape = parts.shape[1:]
    return jnp.moveaxis(parts, 0, place).reshape(*shape[:place], -1, *shape[place + 1 :])


def _like(x: Array, other: Array) -> Array:
    """`x` summed over the axes along which `other` has one entry for all."""
    axes = tuple(i for i, size in enumerate(other.shape) if size == 1 and x.shape[i] > 1)
    return x.sum(axes, keepdims=True) if axes else x


def _zeros(x: Array) -> Array:
    return jnp.zeros(x.shape, jnp.float32)
