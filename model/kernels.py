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


class Scores(NamedTuple):
    """How products of queries and keys become what the softmax is taken of.

    Attributes:
      scale: they are multiplied by this.
      bias: [*batch, heads, queries, keys], added.
      softcap: above 0, scaled products go through softcap * tanh(. / softcap) (Gemma 2, section 2), before the bias.
      sinks: [heads], one more logit a head that takes a share of the softmax and gives nothing (gpt-oss).
    """

    scale: float
    bias: Float[Array, "*batch heads seq keys"] | None = None
    softcap: float = 0.0
    sinks: Float[Array, " heads"] | None = None

    @property
    def only_scaled(self) -> bool:
        """Whether the scale is all there is to the rule."""
        return self.bias is None and self.sinks is None and not self.softcap

    def part(self, rows: slice, columns: slice) -> "Scores":
        """The rule for some of the queries and some of the keys."""
        return self if self.bias is None else self._replace(bias=self.bias[..., rows, columns])


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
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """softmax of the scores times v, over the visible keys; sums are float32."""


@dataclasses.dataclass(frozen=True)
class Dense(Kernel):
    """All queries against all keys (Vaswani 2017, eq. 1): the reference, and the choice for short keys."""

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One softmax over all keys."""
        return _softmax_attention(q, k, v, allowed(visibility), scores, dropout)


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
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One softmax a block of queries, over its span of keys."""
        queries, keys = q.shape[1], k.shape[1]
        if not visibility.plain or queries <= self.block or dropout is not None:
            return Dense().attend(q, k, v, visibility, scores, dropout)
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
                    scores.part(rows, columns),
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
    v: Float[Array, "batch keys kv_heads value_dim"],
    allowed: Array | None,
    scores: Scores,
    dropout: Dropout | None,
) -> Float[Array, "batch seq heads value_dim"]:
    batch, queries, heads, head_dim = q.shape
    kv_heads = k.shape[2]
    # Queries that share a key head are one more axis of rows: [batch, kv_heads, group, queries, head_dim].
    grouped = q.reshape(batch, queries, kv_heads, heads // kv_heads, head_dim)
    logits = jnp.einsum("bqkgd,btkd->bkgqt", grouped, k, preferred_element_type=jnp.float32)
    logits = (logits * scores.scale).reshape(batch, heads, queries, -1)
    if scores.softcap:
        logits = scores.softcap * jnp.tanh(logits / scores.softcap)
    if scores.bias is not None:
        logits = logits + scores.bias.astype(jnp.float32)
    if allowed is not None:
        logits = jnp.where(allowed, logits, FORBIDDEN)
    probabilities = _softmax(logits, scores.sinks)
    if dropout is not None:
        kept = jax.random.bernoulli(dropout.key, 1 - dropout.rate, probabilities.shape)
        probabilities = jnp.where(kept, probabilities / (1 - dropout.rate), 0)
    grouped_p = probabilities.astype(v.dtype).reshape(batch, kv_heads, heads // kv_heads, queries, -1)
    return jnp.einsum("bkgqt,btkd->bqkgd", grouped_p, v).reshape(batch, queries, heads, v.shape[-1])


def _softmax(logits: Float[Array, "batch heads seq keys"], sinks: Float[Array, " heads"] | None) -> Array:
    if sinks is None:
        return jax.nn.softmax(logits, axis=-1)
    sink = jnp.broadcast_to(sinks.astype(logits.dtype)[None, :, None, None], (*logits.shape[:-1], 1))
    return jax.nn.softmax(jnp.concatenate([logits, sink], axis=-1), axis=-1)[..., :-1]
