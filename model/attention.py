"""Attention layers: multi-head, multi-query and grouped-query, over any mask and position encoding."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Int

from model.cache import mark, write
from model.cpu_attention import Recomputed
from model.kernels import Dense, Dropout, Kernel, Scores, Visibility
from model.layers import linear, rms_norm
from model.masks import Causal, Mask, Places
from model.parameters import Sizes, filled, normal
from model.positions import Positions, Rope, angles_fit
from sharding.axes import BATCH, EMBED, HEAD_DIM, HEADS, KV_HEADS, SEQ, constrain, platform


@dataclasses.dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention (Vaswani 2017), with shared key heads (Shazeer 2019; Ainslie 2023).

    Attributes:
      heads: query heads.
      kv_heads: key and value heads; 0 means as many as query heads.
      head_dim: features of a head; 0 means embed / heads.
      mask: which keys a query may see.
      positions: position encoding.
      qk_norm: normalise queries and keys of each head by their root mean square (Henry 2020).
      kernel: how it is computed; None picks by platform.
    """

    heads: int
    kv_heads: int = 0
    head_dim: int = 0
    mask: Mask = Causal()
    positions: Positions = Rope()
    qk_norm: bool = False
    kernel: Kernel | None = None

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ValueError(f"Attention.heads is {self.heads}; there is at least 1")
        for field in ("kv_heads", "head_dim"):
            if getattr(self, field) < 0:
                raise ValueError(f"Attention.{field} is {getattr(self, field)}; it is at least 0")
        if self.heads % self.key_heads:
            raise ValueError(
                f"Attention.heads is {self.heads}, which Attention.kv_heads ({self.kv_heads}) does not divide"
            )
        if self.head_dim:
            angles_fit(self.head_dim, self.positions)

    @property
    def key_heads(self) -> int:
        """Number of key and value heads."""
        return self.kv_heads or self.heads

    def features(self, embed: int) -> int:
        """Features of one head in a model of width `embed`.

        Raises ValueError if the width does not divide into the heads.
        """
        if not self.head_dim and embed % self.heads:
            raise ValueError(f"embed is {embed}, which Attention.heads ({self.heads}) does not divide; set head_dim")
        features = self.head_dim or embed // self.heads
        angles_fit(features, self.positions)
        return features

    def matmul_weights(self, embed: int) -> int:
        """Number of weights that a token is multiplied with, for counting FLOPs."""
        return 2 * embed * self.features(embed) * (self.heads + self.key_heads)


class Step(NamedTuple):
    """What attention needs to know of the tokens it is given.

    Attributes:
      position: [batch, seq], for the position encoding.
      segment: [batch, seq] or None.
      cached: None, or the positions [batch, slots] that the cache held before this one token a row.
    """

    position: Int[Array, "batch seq"]
    segment: Int[Array, "batch seq"] | None = None
    cached: Int[Array, "batch slots"] | None = None


KeysValues = tuple[Array, Array]


class AttentionLayer(nnx.Module):
    """The weights of `Attention`, and its formula."""

    def __init__(self, spec: Attention, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        self.dropout = sizes.dropout
        embed, features, precision = sizes.embed, spec.features(sizes.embed), sizes.precision
        outwards = (embed, spec.key_heads, features), (EMBED, KV_HEADS, HEAD_DIM), sizes.init_std, precision
        self.query = normal(rngs, (embed, spec.heads, features), (EMBED, HEADS, HEAD_DIM), sizes.init_std, precision)
        self.key = normal(rngs, *outwards)
        self.value = normal(rngs, *outwards)
        self.output = normal(
            rngs, (spec.heads, features, embed), (HEADS, HEAD_DIM, EMBED), sizes.residual_std, precision
        )
        self.query_scale = filled(1.0, (features,), (HEAD_DIM,), precision) if spec.qk_norm else None
        self.key_scale = filled(1.0, (features,), (HEAD_DIM,), precision) if spec.qk_norm else None

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        position_weights: nnx.Module | None,
        cache: KeysValues | None = None,
        dropout_key: Array | None = None,
    ) -> tuple[Float[Array, "batch seq embed"], KeysValues]:
        """Attends over the row itself, or over the cache with the row's one token written into it.

        Returns the output and the keys and values: of the row, or of the whole cache.
        """
        q, k, v = self._heads(x, step)
        if cache is None:
            seen = self._within_row(step)
        else:
            k, v = write(cache[0], k, step.position[:, 0]), write(cache[1], v, step.position[:, 0])
            seen = self._over_cache(step)
        positions = self.spec.positions
        bias = positions.at_logits(position_weights, self.spec.heads, seen.query.index, seen.key.index)
        dropout = None if dropout_key is None or not self.dropout else Dropout(self.dropout, dropout_key)
        mixed = self._kernel().attend(q, k, v, seen, Scores(q.shape[-1] ** -0.5, bias), dropout)
        mixed = checkpoint_name(constrain(mixed, BATCH, SEQ, HEADS, HEAD_DIM), "attention")
        output = self.output[...]
        return linear(mixed.reshape(*x.shape[:2], -1), output.reshape(-1, output.shape[-1])), (k, v)

    def _heads(self, x: Float[Array, "batch seq embed"], step: Step) -> tuple[Array, Array, Array]:
        def project(weight: Array, axis: str) -> Array:
            flat = linear(x, weight.reshape(weight.shape[0], -1))
            return constrain(flat.reshape(*x.shape[:2], *weight.shape[1:]), BATCH, SEQ, axis, HEAD_DIM)

        q = project(self.query[...], HEADS)
        k = project(self.key[...], KV_HEADS)
        v = project(self.value[...], KV_HEADS)
        if self.query_scale is not None and self.key_scale is not None:
            q, k = rms_norm(q, self.query_scale[...], 1e-6), rms_norm(k, self.key_scale[...], 1e-6)
        q, k = (self.spec.positions.at_heads(part, step.position) for part in (q, k))
        return checkpoint_name(q, "query"), checkpoint_name(k, "key"), checkpoint_name(v, "value")

    def _within_row(self, step: Step) -> Visibility:
        # Masks go by the index in the row; positions may start again in each packed document.
        places = Places(jnp.arange(step.position.shape[1])[None], step.segment)
        return Visibility(self.spec.mask, places, places, plain=True)

    def _over_cache(self, step: Step) -> Visibility:
        assert step.cached is not None
        held = mark(step.cached, step.position[:, 0])
        mask = self.spec.mask & _Filled()
        return Visibility(mask, Places(step.position), Places(held), plain=False)

    def _kernel(self) -> Kernel:
        return self.spec.kernel or (Recomputed() if platform() == "cpu" else Dense())


@dataclasses.dataclass(frozen=True)
class _Filled(Mask):
    """Slots of a cache that hold a token."""

    def allowed(self, query: Places, key: Places) -> jax.Array:
        """True where the slot is not empty."""
        return (key.index >= 0) & (query.index >= 0)
