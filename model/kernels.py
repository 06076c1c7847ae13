"""Ways to compute attention: the dense reference, and one that never touches what a mask empties.

For accelerators there are `model/splash.py` and `model/fused.py`, for CPUs `model/cpu_attention.py`.
"""

import abc
import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from model.masks import Mask, Places, at_least

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

    def part(self, piece: "Piece") -> "Scores":
        """The rule for the queries and the keys of a piece."""
        return self if self.bias is None else self._replace(bias=piece.chosen(self.bias[..., piece.rows, :], -1))


class Dropout(NamedTuple):
    """Share of attention probabilities to drop, and the randomness that picks them."""

    rate: float
    key: PRNGKeyArray | Array


@dataclasses.dataclass(frozen=True)
class Kernel(abc.ABC):
    """One way to compute attention.

    Attributes:
      scales_first: it multiplies queries by the scale before all else, which may as well be done where they are made.
      names_output: it gives its output a name for rematerialisation itself.
    """

    scales_first: ClassVar[bool] = False
    names_output: ClassVar[bool] = False

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
        """softmax of the scores times v, over the visible keys; sums are float32.

        A query that sees no key gets 0, and passes no gradient on.
        """


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


class Piece(NamedTuple):
    """One block of queries and what it is computed against.

    Attributes:
      rows: its queries.
      keys: stretches of keys, in order and apart; none if no query of the block sees any key.
      full: whether every query sees all of these keys, however the row is segmented.
    """

    rows: slice
    keys: tuple[slice, ...]
    full: bool

    def chosen(self, x: Any, axis: int) -> Any:
        """The part of `x` that belongs to the piece's keys, which lie along `axis`: a slice, or several joined."""
        before = (slice(None),) * (axis % x.ndim)
        parts = [x[(*before, keys)] for keys in self.keys]
        return parts[0] if len(parts) == 1 else _joined(parts, axis)


@dataclasses.dataclass(frozen=True)
class Blocked(Kernel):
    """Queries in blocks, each against the blocks of keys that the mask lets it see, and no others.

    For a causal mask about half of the work of `Dense`, for a window as little as the window is long. Needs plain
    indices; falls back to `Dense` without, and for dropout.

    Attributes:
      block: queries in a block, and keys.
    """

    block: int = 128

    def __post_init__(self) -> None:
        at_least(1, self, "block", "a block holds at least 1 query")

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One softmax a block of queries, over its blocks of keys."""
        queries, keys = q.shape[1], k.shape[1]
        if not visibility.plain or queries <= self.block or dropout is not None:
            return Dense().attend(q, k, v, visibility, scores, dropout)
        outputs = []
        for piece in self.pieces(visibility.mask, queries, keys):
            rows = q[:, piece.rows]
            if not piece.keys:
                outputs.append(jnp.zeros((*rows.shape[:3], v.shape[-1]), v.dtype))
                continue
            seen = None if piece.full else allowed(part(visibility, piece))
            k_, v_ = piece.chosen(k, 1), piece.chosen(v, 1)
            outputs.append(_softmax_attention(rows, k_, v_, seen, scores.part(piece), None))
        return _joined(outputs, 1)

    def pieces(self, mask: Mask, queries: int, keys: int) -> list[Piece]:
        """What is computed: for each block of queries, the blocks of keys that are not empty.

        The first query and the first key both have index 0.
        """
        result = []
        for number, row in enumerate(mask.blocks(queries, keys, self.block, first=0)):
            start = number * self.block
            edges = np.flatnonzero(np.diff(np.concatenate([[False], row > 0, [False]]).astype(np.int8)))
            runs = (edges.reshape(-1, 2) * self.block).tolist()
            columns = tuple(slice(low, min(high, keys)) for low, high in runs)
            result.append(Piece(slice(start, min(start + self.block, queries)), columns, bool((row != 1).all())))
        return result

    def computed_fraction(self, mask: Mask, queries: int, keys: int) -> float:
        """Share of all pairs of a query and a key that is computed, be they allowed or not."""
        pieces = [Piece(slice(0, queries), (slice(0, keys),), False)] if queries <= self.block else (
            self.pieces(mask, queries, keys)
        )
        pairs = sum((p.rows.stop - p.rows.start) * sum(c.stop - c.start for c in p.keys) for p in pieces)
        return pairs / (queries * keys)


def part(visibility: Visibility, piece: Piece) -> Visibility:
    """Who sees whom among the queries and the keys of a piece."""
    query = (None if x is None else x[:, piece.rows] for x in visibility.query)
    key = (None if x is None else piece.chosen(x, 1) for x in visibility.key)
    return visibility._replace(query=Places(*query), key=Places(*key))


def allowed(visibility: Visibility) -> Array:
    """Who sees whom, boolean [batch or 1, 1, queries, keys]."""
    query, key = (
        Places(*(None if part is None else jnp.expand_dims(part, (1, axis)) for part in places))
        for places, axis in ((visibility.query, 3), (visibility.key, 2))
    )
    return visibility.mask.allowed(query, key)


def attention_logits(
    q: Float[Array, "batch seq heads head_dim"],
    k: Float[Array, "batch keys kv_heads head_dim"],
    allowed: Array | None,
    scores: Scores,
) -> Float[Array, "batch heads seq keys"]:
    """What the softmax is taken of, float32, without sinks; `allowed` is [batch or 1, 1, seq, keys], None for all."""
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
    return logits if allowed is None else jnp.where(allowed, logits, FORBIDDEN)


def _softmax_attention(
    q: Float[Array, "batch seq heads head_dim"],
    k: Float[Array, "batch keys kv_heads head_dim"],
    v: Float[Array, "batch keys kv_heads value_dim"],
    allowed: Array | None,
    scores: Scores,
    dropout: Dropout | None,
) -> Float[Array, "batch seq heads value_dim"]:
    batch, queries, heads, _ = q.shape
    kv_heads = k.shape[2]
    logits = attention_logits(q, k, allowed, scores)
    probabilities = _softmax(logits, scores.sinks)
    if allowed is not None:
        # A query that sees no key gets 0, as in every kernel, and not the mean of what it must not see.
        probabilities = jnp.where(allowed, probabilities, 0)
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


def _joined(parts: list[Any], axis: int) -> Any:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis) if isinstance(parts[0], np.ndarray) else jnp.concatenate(parts, axis)
