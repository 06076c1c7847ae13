"""Cross-entropy over a vocabulary: whole, or in stretches of the sequence whose logits are made, used and dropped."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sharding.axes import SEQ, ways

# Of [batch, seq, embed] logits [batch, seq, vocab].
MakeLogits = Callable[[Array], Array]
# Of logits and targets what is minimised of each token, and its negative log likelihood.
TokenLoss = Callable[[Array, Array], tuple[Array, Array]]


def cross_entropy(
    logits: Float[Array, "batch seq vocab"], targets: Int[Array, "batch seq"]
) -> tuple[Float[Array, "batch seq"], Float[Array, "batch seq"]]:
    """Negative log likelihood of each target, in nats, and log of the softmax's sum."""
    log_z = jax.nn.logsumexp(logits, axis=-1)
    return log_z - jnp.take_along_axis(logits, targets[..., None], axis=-1, mode="clip")[..., 0], log_z


class Weighed(NamedTuple):
    """Of a batch of tokens.

    Attributes:
      loss: what is minimised, times the weights, summed.
      nll: negative log likelihood of each token, [batch, seq]; it carries no gradient to the model.
    """

    loss: Float[Array, ""]
    nll: Float[Array, "batch seq"]


def whole(
    logits: MakeLogits,
    loss: TokenLoss,
    x: Float[Array, "batch seq embed"],
    targets: Int[Array, "batch seq"],
    weights: Float[Array, "batch seq"],
) -> Weighed:
    """All logits at once."""
    each, nll = loss(logits(x), targets)
    return Weighed(jnp.sum(each * weights), jax.lax.stop_gradient(nll))


def chunked(
    logits: MakeLogits,
    loss: TokenLoss,
    x: Float[Array, "batch seq embed"],
    targets: Int[Array, "batch seq"],
    weights: Float[Array, "batch seq"],
    chunk: int,
) -> Weighed:
    """The same, `chunk` places of the sequence at a time, so that logits are [batch, chunk, vocab] at the most.

    The gradient is taken along with the loss: it is linear in the loss's own, which is one number, so that nothing
    has to be kept or computed again for it (as in Liger; Hsu 2024, arXiv:2410.10989, section 3.2). The last chunk is
    filled up with places of weight 0. Of a sequence that devices share, a chunk has as many places of each one's part.
    """
    cut = _Cut.of(x.shape[1], chunk)
    parts = tuple(cut(part) for part in (x, targets, weights))

    def of_chunk(x: Array, targets: Array, weights: Array) -> tuple[Array, tuple[Array, Array]]:
        each, nll = loss(logits(x), targets)
        return jnp.sum(each * weights), (each, nll)

    # What logits are made with is closed over; here it becomes arguments, to be differentiated by.
    made, used = jax.closure_convert(of_chunk, *(part[0] for part in parts))

    @jax.custom_vjp
    def over(x: Array, targets: Array, weights: Array, *used: Array) -> tuple[Array, Array, Array]:
        def one(total: Array, part: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
            found, each = made(*part, *used)
            return total + found, each

        return *_flat(jax.lax.scan(one, jnp.zeros((), jnp.float32), (x, targets, weights))),

    def forward(x: Array, targets: Array, weights: Array, *used: Array) -> tuple[Any, Any]:
        def one(carry: tuple[Array, Any], part: tuple[Array, ...]) -> tuple[Any, Any]:
            total, gradient = carry
            x, targets, weights = part
            found, pull, each = jax.vjp(lambda x, *used: made(x, targets, weights, *used), x, *used, has_aux=True)
            d_x, *d_used = pull(jnp.ones_like(found))
            return (total + found, jax.tree.map(jnp.add, gradient, d_used)), (each, d_x)

        start = (jnp.zeros((), jnp.float32), [jnp.zeros(part.shape, part.dtype) for part in used])
        (total, d_used), (each, d_x) = jax.lax.scan(one, start, (x, targets, weights))
        return (total, *each), (d_x, d_used)

    def backward(kept: Any, by: tuple[Array, Array, Array]) -> tuple[Any, ...]:
        d_x, d_used = kept
        scaled = [(part * by[0]).astype(part.dtype) for part in d_used]
        return (d_x * by[0]).astype(d_x.dtype), None, None, *scaled

    over.defvjp(forward, backward)
    x, targets, fixed = parts[0], parts[1], jax.lax.stop_gradient(parts[2])
    total, each, nll = over(x, targets, fixed, *used)
    # Whoever derives by the weights within a gradient by the model (losses by group) must not differentiate
    # `forward`, which would keep the logits of all chunks: that part is linear, and stands here by itself.
    total = total + jnp.sum(jax.lax.stop_gradient(each) * (parts[2] - fixed))
    return Weighed(total, jax.lax.stop_gradient(cut.joined(nll)))


def _flat(found: tuple[Array, tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    return found[0], found[1][0], found[1][1]


class _Cut(NamedTuple):
    """How a sequence is cut into chunks.

    Attributes:
      shares: parts of the sequence, each on devices of its own, and each cut by itself.
      length: places of a part.
      places: places of a part in a chunk.
    """

    shares: int
    length: int
    places: int

    @classmethod
    def of(cls, seq: int, chunk: int) -> "_Cut":
        """For `chunk` places in all."""
        shares = ways(SEQ) if seq % ways(SEQ) == 0 else 1
        return cls(shares, seq // shares, -(-chunk // shares))

    def __call__(self, x: Array) -> Array:
        """[batch, seq, ...] as [chunks, batch, chunk, ...], filled up with zeros."""
        rest = x.shape[2:]
        x = x.reshape(x.shape[0], self.shares, self.length, *rest)
        x = jnp.pad(x, ((0, 0), (0, 0), (0, -self.length % self.places), *((0, 0) for _ in rest)))
        x = jnp.moveaxis(x.reshape(*x.shape[:2], -1, self.places, *rest), 2, 0)
        return x.reshape(*x.shape[:2], -1, *rest)

    def joined(self, x: Array) -> Array:
        """[chunks, batch, chunk] as [batch, seq], without what it was filled up with."""
        x = jnp.moveaxis(x.reshape(*x.shape[:2], self.shares, self.places), 0, 2)
        return x.reshape(*x.shape[:2], -1)[:, :, : self.length].reshape(x.shape[0], -1)
