"""Ways to compute attention: the dense reference, and one that never touches what a mask empties."""

import abc
import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from model.masks import Mask, Places

# Added to forbidden logits: far below any real one, and finite, so that a row without keys gives no NaN.
FORBIDDEN = -1e30


class Visibility(NamedTuple):
    """Who sees whom in one call: a mask and where queries and keys stand.

    Attributes:
      mask: the mask.
      query: index [batch or 1, queries] and segment [batch, queries] or None.
      key: index [batch or 1, keys] and segment [batch, keys] or None.
      plain: indices are 0, 1, 2, ... in every row, so that blocks can be planned before any data is seen.
    """

    mask: Mask
    query: Places
    key: Places
    plain: bool


class Dropout(NamedTuple):
    """Share of attention probabilities to drop, and the randomness that picks them."""

    rate: float
    key: PRNGKeyArray | Array


@dataclasses.dataclass(frozen=True)
class Kernel(abc.ABC):
    """One way to compute attention."""

    @abc.abstractmethod
    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads head_dim"],
        visibility: Visibility,
        bias: Float[Array, "*batch heads seq keys"] | None,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads head_dim"]:
        """softmax(q k^T / sqrt(head_dim) + bias) v over the visible keys; sums are float32."""


@dataclasses.dataclass(frozen=True)
class Dense(Kernel):
    """All queries against all keys (Vaswani 2017, eq. 1): the reference, and the choice for short keys."""

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads head_dim"],
        visibility: Visibility,
        bias: Float[Array, "*batch heads seq keys"] | None,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads head_dim"]:
        """One softmax over all keys."""
        return _softmax_attention(q, k, v, allowed(visibility), bias, dropout)


@dataclasses.dataclass(frozen=True)
class Blocked(Kernel):
    """Queries in blocks, each against the span of keys that the mask may let it see.

    For a causal mask about half of the work of `Dense`. Needs plain indices; falls back to `Dense` without.

    Attributes:
      block: queries in a block.
    """

    block: int = 128

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads head_dim"],
        visibility: Visibility,
        bias: Float[Array, "*batch heads seq keys"] | None,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads head_dim"]:
        """One softmax a block of queries, over its span of keys."""
        queries, keys = q.shape[1], k.shape[1]
        if not visibility.plain or queries <= self.block or dropout is not None:
            return Dense().attend(q, k, v, visibility, bias, dropout)
        outputs = []
        for (start, stop), (low, high), full in self.spans(visibility.mask, queries, keys):
            rows, columns = slice(start, stop), slice(low, high)
            seen = None if full else allowed(part(visibility, rows, columns))
            outputs.append(
                _softmax_attention(
                    q[:, rows],
                    k[:, columns],
                    v[:, columns],
                    seen,
                    None if bias is None else bias[..., rows, columns],
                    None,
                )
            )
        return jnp.concatenate(outputs, axis=1)

    def spans(
        self, mask: Mask, queries: int, keys: int
    ) -> list[tuple[tuple[int, int], tuple[int, int], bool]]:
        """For each block of queries: its rows, the span of keys to compute, and whether all of it is visible."""
        edges = [*range(0, queries, self.block), queries]
        blocks = mask.blocks(queries, keys, self.block)
        result = []
        for row, (start, stop) in zip(blocks, itertools.pairwise(edges), strict=True):
            seen = np.flatnonzero(row)
            first, last = (seen[0], seen[-1]) if seen.size else (0, 0)
            span = (int(first) * self.block, min(int(last + 1) * self.block, keys))
            result.append(((start, stop), span, bool((row[first : last + 1] == 2).all())))
        return result


def part(visibility: Visibility, rows: slice, columns: slice) -> Visibility:
    """Who sees whom among some of the queries and some of the keys."""

    def cut(places: Places, where: slice) -> Places:
        return Places(places.index[:, where], None if places.segment is None else places.segment[:, where])

    return visibility._replace(query=cut(visibility.query, rows), key=cut(visibility.key, columns))


def allowed(visibility: Visibility) -> Array:
    """Who sees whom, boolean [batch or 1, 1, queries, keys]."""
    query, key = (
        Places(*(None if part is None else jnp.expand_dims(part, (1, axis)) for part in places))
        for places, axis in ((visibility.query, 3), (visibility.key, 2))
    )
    return visibility.mask.allowed(query, key)


def _softmax_attention(
    q: Float[Array, "batch seq heads head_dim"],
    k: Float[Array, "batch keys kv_heads head_dim"],
    v: Float[Array, "batch keys kv_heads head_dim"],
    allowed: Array | None,
    bias: Array | None,
    dropout: Dropout | None,
) -> Float[Array, "batch seq heads head_dim"]:
    batch, queries, heads, head_dim = q.shape
    kv_heads = k.shape[2]
    # Queries that share a key head are one more axis of rows: [batch, kv_heads, group, queries, head_dim].
    grouped = q.reshape(batch, queries, kv_heads, heads // kv_heads, head_dim)
    logits = jnp.einsum("bqkgd,btkd->bkgqt", grouped, k, preferred_element_type=jnp.float32)
    logits = logits * head_dim**-0.5
    logits = logits.reshape(batch, heads, queries, -1)
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    if allowed is not None:
        logits = jnp.where(allowed, logits, FORBIDDEN)
    probabilities = jax.nn.softmax(logits, axis=-1)
    if dropout is not None:
        kept = jax.random.bernoulli(dropout.key, 1 - dropout.rate, probabilities.shape)
        probabilities = jnp.where(kept, probabilities / (1 - dropout.rate), 0)
    grouped_p = probabilities.astype(v.dtype).reshape(batch, kv_heads, heads // kv_heads, queries, -1)
    return jnp.einsum("bkgqt,btkd->bqkgd", grouped_p, v).reshape(batch, queries, heads, head_dim)


