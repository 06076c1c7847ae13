"""Attention for a CPU: blocks of queries against the keys they may see, with a gradient that recomputes.

FlashAttention's bookkeeping (Dao 2022, algorithms 1 and 4) with blocks as large as a core's cache likes
them: the forward pass keeps the log of each softmax sum, and the backward pass makes the
probabilities again from it, keys first, so that each product has plain operands.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from model.cpu_layers import plain
from model.kernels import (
    FORBIDDEN,
    Blocked,
    Dropout,
    Kernel,
    Piece,
    Scores,
    Visibility,
    allowed,
    part,
)
from model.masks import Places, at_least
from sharding.axes import HEADS, spread

# Boolean [1 or n, 1, rows, keys]; a constant where segments do not matter. None: all keys are seen.
Seen = Array | np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Recomputed(Kernel):
    """Blocked attention with its own gradient, for XLA's CPU backend.

    Needs plain indices, float32 and heads that no two devices share out, and neither bias nor dropout; leaves all else
    to `Blocked`.

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
        asked = visibility.plain and scores.bias is None and dropout is None and q.dtype == jnp.float32
        # Heads that are divided cannot be folded into the batch where they lie.
        if not asked or spread(HEADS):
            return Blocked(self.block).attend(q, k, v, visibility, scores, dropout)
        batch, queries, heads, head_dim = q.shape
        keys, kv_heads = k.shape[1], k.shape[2]
        pieces = Blocked(self.block).pieces(visibility.mask, queries, keys)
        seen = tuple(None if piece.full else self._seen(visibility, piece, kv_heads) for piece in pieces)
        # [batch * kv_heads, group, seq, head_dim]: each key head beside the queries that share it.
        grouped = q.reshape(batch, queries, kv_heads, heads // kv_heads, head_dim)
        grouped = grouped.transpose(0, 2, 3, 1, 4).reshape(batch * kv_heads, -1, queries, head_dim)
        k, v = (x.transpose(0, 2, 1, 3).reshape(batch * kv_heads, keys, -1) for x in (k, v))
        sinks = None if scores.sinks is None else jnp.tile(scores.sinks.reshape(kv_heads, -1), (batch, 1))
        mixed = _attention(pieces, scores.scale, scores.softcap)(grouped, k, v, sinks, seen)
        mixed = mixed.reshape(batch, kv_heads, heads // kv_heads, queries, -1)
        return mixed.transpose(0, 3, 1, 2, 4).reshape(batch, queries, heads, -1)

    def _seen(self, visibility: Visibility, piece: Piece, kv_heads: int) -> Seen:
        if visibility.query.segment is None:
            rows = np.arange(piece.rows.start, piece.rows.stop)
            keys = np.concatenate([np.arange(part.start, part.stop) for part in piece.keys])
            seen = visibility.mask.allowed(Places(rows[:, None]), Places(keys[None]))
            return np.asarray(seen)[None, None]
        seen = allowed(part(visibility, piece))
        # A mask that takes no notice of segments is the same for every row of the batch.
        return seen if seen.shape[0] == 1 else jnp.repeat(seen, kv_heads, axis=0)


def _attention(pieces: Sequence[Piece], scale: float, softcap: float) -> Callable[..., Array]:
    """Attention on q [n, group, seq, d], k [n, keys, d], v [n, keys, e], sinks [n, group] or None, in these pieces."""
    scale, softcap = np.float32(scale), np.float32(softcap)
    # What is still to be multiplied once logits are capped.
    rest = np.float32(1) if softcap else scale

    def capped(products: Array) -> Array:
        return plain(softcap * jnp.tanh(products * (scale / softcap))) if softcap else products

    def forward(q: Array, k: Array, v: Array, sinks: Array | None, seen: tuple[Seen, ...]) -> tuple[Array, Array]:
        outputs, sums = [], []
        for piece, mask in zip(pieces, seen, strict=True):
            if not piece.keys:
                blind = q[:, :, piece.rows, 0]
                outputs.append(jnp.zeros((*blind.shape, v.shape[-1]), v.dtype))
                sums.append(jnp.full_like(blind, FORBIDDEN))
                continue
            rows, keys, values = plain((q[:, :, piece.rows], piece.chosen(k, 1), piece.chosen(v, 1)))
            logits = capped(plain(jnp.einsum("ngtd,nsd->ngts", rows, keys)))
            top = plain((logits if mask is None else jnp.where(mask, logits, FORBIDDEN)).max(-1, keepdims=True))
            weights = jnp.exp((logits - top) * rest)
            weights = plain(weights if mask is None else jnp.where(mask, weights, 0))
            total = weights.sum(-1, keepdims=True)
            # A row that sees nothing has a sum of 0 and gets 0.
            inverse = jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1), 0)
            outputs.append(plain(jnp.einsum("ngts,nsd->ngtd", weights, values)) * inverse)
            sums.append((top * rest + jnp.log(jnp.where(total > 0, total, 1)))[..., 0])
        mixed, log_sum = _joined(outputs, 2), _joined(sums, 2)
        if sinks is None:
            return mixed, log_sum
        with_sinks = jnp.logaddexp(log_sum, sinks[..., None])
        return mixed * jnp.exp(log_sum - with_sinks)[..., None], with_sinks

    @jax.custom_vjp
    def attention(q: Array, k: Array, v: Array, sinks: Array | None, seen: tuple[Seen, ...]) -> Array:
        return forward(q, k, v, sinks, seen)[0]

    def kept(q: Array, k: Array, v: Array, sinks: Array | None, seen: tuple[Seen, ...]) -> tuple[Array, tuple]:
        q, k, v = plain((q, k, v))
        mixed, log_sum = forward(q, k, v, sinks, seen)
        return mixed, (q, k, v, sinks, mixed, log_sum, seen)

    def backward(saved: tuple, d_mixed: Array) -> tuple[Array, Array, Array, Array | None, None]:
        q, k, v, sinks, mixed, log_sum, seen = saved
        d_mixed = plain(d_mixed)
        delta = plain((d_mixed * mixed).sum(-1))
        d_q, d_k, d_v = [], jnp.zeros_like(k), jnp.zeros_like(v)
        for piece, mask in zip(pieces, seen, strict=True):
            if not piece.keys:
                d_q.append(jnp.zeros_like(q[:, :, piece.rows]))
                continue
            rows, d_rows, keys, values = plain(
                (q[:, :, piece.rows], d_mixed[:, :, piece.rows], piece.chosen(k, 1), piece.chosen(v, 1))
            )
            logits, d_weights = plain(
                (jnp.einsum("nsd,ngtd->nsgt", keys, rows), jnp.einsum("nsd,ngtd->nsgt", values, d_rows))
            )
            logits = capped(logits)
            shifted = logits * rest - log_sum[:, None, :, piece.rows]
            weights = jnp.exp(shifted if mask is None else jnp.where(mask.transpose(0, 3, 1, 2), shifted, FORBIDDEN))
            d_logits = weights * (d_weights - delta[:, None, :, piece.rows]) * scale
            if softcap:
                d_logits = d_logits * (1 - (logits / softcap) ** 2)
            weights, d_logits = plain((weights, d_logits))
            d_q.append(plain(jnp.einsum("nsgt,nsd->ngtd", d_logits, keys)))
            d_k = _added(d_k, piece.keys, plain(jnp.einsum("nsgt,ngtd->nsd", d_logits, rows)))
            d_v = _added(d_v, piece.keys, plain(jnp.einsum("nsgt,ngtd->nsd", weights, d_rows)))
        d_sinks = None if sinks is None else -(jnp.exp(sinks[..., None] - log_sum) * delta).sum(-1)
        return _joined(d_q, 2), d_k, d_v, d_sinks, None

    attention.defvjp(kept, backward)
    return attention


def _added(whole: Array, where: Sequence[slice], parts: Array) -> Array:
    """`whole` plus the `parts` that stand at these stretches of axis 1, joined."""
    start = 0
    for stretch in where:
        size = stretch.stop - stretch.start
        whole = whole.at[:, stretch].add(parts[:, start : start + size])
        start += size
    return whole


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis)
