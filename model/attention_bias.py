"""Position encodings that add to attention logits what a pair's distance is worth."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from model.encoding import Positions
from model.parameters import Sizes, normal
from sharding.axes import BUCKETS, HEADS


@dataclasses.dataclass(frozen=True)
class Alibi(Positions):
    """Attention with linear biases (Press 2021, section 3): -slope distance, with a slope of its own for each head.

    The distance has no sign, so under a mask that is not causal the past and the future weigh alike.
    """

    def at_logits(
        self, weights: nnx.Module | None, heads: int, query: Int[Array, "*batch seq"], key: Int[Array, "*batch keys"]
    ) -> Float[Array, "*batch heads seq keys"] | None:
        """-slope |query - key|, float32."""
        distance = jnp.abs(query[..., None, :, None] - key[..., None, None, :])
        return distance.astype(jnp.float32) * -alibi_slopes(heads)[:, None, None]


def alibi_slopes(heads: int) -> Float[np.ndarray, " heads"]:
    """The slopes of Press 2021, float32: 2^(-8/n), 2^(-16/n), ... of n heads if n is a power of two.

    Otherwise the power below is taken, and for the heads that are left every other slope of twice that power,
    from the first on, as in the authors' program.
    """
    power = 2 ** (heads.bit_length() - 1)
    whole = 2.0 ** (-8.0 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4.0 * np.arange(1, 2 * power + 1, 2) / power)
    return np.concatenate([whole, between])[:heads].astype(np.float32)


class BucketTable(nnx.Module):
    """The weights of `T5Bias`."""

    def __init__(self, buckets: int, heads: int, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.table = normal(rngs, (buckets, heads), (BUCKETS, HEADS), sizes.init_std, sizes)


@dataclasses.dataclass(frozen=True)
class T5Bias(Positions):
    """A trained bias for each head and bucket of distances (Raffel 2019, section 2.1).

    Half of the buckets hold one distance each; the others share the distances up to `max_distance` on a
    logarithmic scale, and the last holds all beyond. T5 does not divide its logits by sqrt(head_dim); that
    scale is the attention's matter, not this encoding's.

    Attributes:
      buckets: number of buckets.
      max_distance: distances from here on are alike.
      bidirectional: whether half of the buckets are for keys after the query, as in T5's encoder. If not, such
        keys are in the bucket of distance 0, as in its decoder, whose mask hides them.
    """

    buckets: int = 32
    max_distance: int = 128
    bidirectional: bool = False

    def __post_init__(self) -> None:
        ways = 2 if self.bidirectional else 1
        if self.buckets < 2 * ways or self.buckets % (2 * ways):
            raise ValueError(f"T5Bias.buckets is {self.buckets}; it is a multiple of {2 * ways}, and positive")
        if self.max_distance <= self.buckets // ways // 2:
            raise ValueError(
                f"T5Bias.max_distance is {self.max_distance}; it is above the number of distances that have "
                f"a bucket of their own ({self.buckets // ways // 2})"
            )

    def weights(self, sizes: Sizes, heads: int, rngs: nnx.Rngs) -> nnx.Module | None:
        """The table [buckets, heads]."""
        return BucketTable(self.buckets, heads, sizes, rngs)

    def weight_count(self, embed: int, heads: int) -> int:
        """The table's."""
        return self.buckets * heads

    def at_logits(
        self, weights: nnx.Module | None, heads: int, query: Int[Array, "*batch seq"], key: Int[Array, "*batch keys"]
    ) -> Float[Array, "*batch heads seq keys"] | None:
        """The trained bias of each pair's bucket, float32."""
        assert isinstance(weights, BucketTable)
        far = self.max_distance
        by_offset = weights.table[...][self.bucket(np.arange(-far, far + 1))].astype(jnp.float32)
        offset = jnp.clip(key[..., None, :] - query[..., :, None], -far, far)
        return jnp.moveaxis(jnp.take(by_offset, offset + far, axis=0), -1, -3)

    def bucket(self, offset: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
        """Buckets of the offsets key - query.

        The logarithms are float32, as in Mesh TensorFlow and Hugging Face: where one of them should be a whole
        number, rounding decides the bucket.
        """
        if self.bidirectional:
            buckets, first, distance = self.buckets // 2, self.buckets // 2 * (offset > 0), np.abs(offset)
        else:
            buckets, first, distance = self.buckets, 0, np.maximum(-offset, 0)
        single = buckets // 2
        ratio = np.maximum(distance, 1).astype(np.float32) / np.float32(single)
        logarithm = np.log(ratio.astype(np.float64)).astype(np.float32)
        steps = logarithm / np.float32(math.log(self.max_distance / single)) * np.float32(buckets - single)
        shared = np.minimum(single + steps.astype(np.int64), buckets - 1)
        return first + np.where(distance < single, distance, shared)
