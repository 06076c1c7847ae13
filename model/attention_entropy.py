"""How spread out attention is, from what an attention layer takes its softmax of."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from model.kernels import Piece, allowed, attention_logits, part
from model.observation import Attended

# Queries whose logits are held at a time.
_BLOCK = 256


class Spread(NamedTuple):
    """How spread out the attention of a layer is.

    Attributes:
      entropy: of the softmax, in nats, mean over batch, heads and the queries that see a key. Near 0 each query looks
        at one key (the collapse of Zhai 2023, "Stabilizing Transformer Training by Preventing Attention Entropy
        Collapse").
      logit_max: the largest logit of a visible key; its growth precedes divergence (Dehghani 2023, ViT-22B, section 2).
    """

    entropy: Float[Array, ""]
    logit_max: Float[Array, ""]


def spread(attended: Attended) -> Spread:
    """The spread of a layer. A sink is one more key; the logits of `_BLOCK` queries are held at a time."""
    q, k, seen, scores = attended
    queries, keys = q.shape[1], k.shape[1]
    total, count, highest = jnp.zeros(()), jnp.zeros(()), jnp.asarray(-jnp.inf)
    for start in range(0, queries, _BLOCK):
        piece = Piece(slice(start, min(start + _BLOCK, queries)), (slice(0, keys),), False)
        visible = allowed(part(seen, piece))
        logits = attention_logits(q[:, piece.rows], k, visible, scores.part(piece))
        visible = jnp.broadcast_to(visible, logits.shape)
        highest = jnp.maximum(highest, jnp.max(jnp.where(visible, logits, -jnp.inf)))
        if scores.sinks is not None:
            sink = jnp.broadcast_to(scores.sinks.astype(logits.dtype)[:, None, None], (*logits.shape[:-1], 1))
            logits = jnp.concatenate([logits, sink], axis=-1)
        log_p = jax.nn.log_softmax(logits, axis=-1)
        # A forbidden key has p = 0 exactly, and 0 times its finite logarithm is 0.
        entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)
        some = visible.any(-1)
        total, count = total + jnp.sum(jnp.where(some, entropy, 0)), count + jnp.sum(some)
    return Spread(total / jnp.maximum(count, 1), highest)
