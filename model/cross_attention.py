"""Cross attention: queries of a decoder, keys and values of an encoder."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.attention import Attention, AttentionLayer
from model.kernels import Visibility
from model.masks import Mask, Places, Segments
from model.mixing import Kept, Step
from model.parameters import Sizes
from model.positions import NoPositions, Positions
from sharding.axes import KV_HEADS

# Segments of rows that say nothing of them: real tokens are of one document, padding is of none.
_REAL = 1


@dataclasses.dataclass(frozen=True)
class CrossAttention(Attention):
    """Attention from a decoder's tokens to an encoder's (Vaswani 2017, section 3.2.3).

    Attributes:
      mask: which of the encoder's tokens a query may see; by default those of its own segment.
      positions: position encoding; none by default, since the two count apart.
    """

    mask: Mask = Segments()
    positions: Positions = NoPositions()

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """The weights of `Attention`."""
        return CrossAttentionLayer(self, sizes, rngs)


class CrossAttentionLayer(AttentionLayer):
    """The weights of `CrossAttention`, and its formula."""

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        position_weights: nnx.Module | None,
        kept: Kept = None,
        dropout_key: Array | None = None,
    ) -> tuple[Float[Array, "batch seq embed"], Kept]:
        """Attends over the encoder's output, or over the keys and values that were made of it before."""
        q = self._queries(x, step)
        k, v, segment = self._read(step) if kept is None else kept
        own = step.segment if step.segment is not None else jnp.full(step.position.shape, _REAL, jnp.int32)
        seen = Visibility(
            self.spec.mask,
            Places(jnp.arange(q.shape[1])[None], own),
            Places(jnp.arange(k.shape[1])[None], segment),
            plain=False,
        )
        return self._mixed(q, k, v, seen, position_weights, dropout_key), (k, v, segment)

    def _read(self, step: Step) -> Kept:
        assert step.memory is not None, "cross attention needs what an encoder gave"
        memory = step.memory.x
        k = self._heads(memory, self.key, self.key_bias, KV_HEADS)
        k = k if self.key_norm is None else self.key_norm(k)
        v = self._heads(memory, self.value, self.value_bias, KV_HEADS)
        segment = step.memory.segment
        return k, v, jnp.full(memory.shape[:2], _REAL, jnp.int32) if segment is None else segment
