"""Attention layers: multi-head, multi-query and grouped-query, over any mask and position encoding."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from model.cache import mark, slot_of, write
from model.feedforward import shifted
from model.fused import kernel_for
from model.kernels import Dropout, Kernel, Scores, Visibility
from model.layers import by_itself, into_heads, out_of_heads
from model.masks import Causal, Mask, Places
from model.mixing import Kept, Mixing, Step
from model.observation import Attended, observe
from model.parameters import Sizes, filled, normal
from model.positions import Positions, Rope, angles_fit
from model.qk_norm import QueryKeyNorm
from model.ring import Ring
from sharding.axes import BATCH, EMBED, HEAD_DIM, HEADS, KV_HEADS, SEQ, constrain, platform, ways


@dataclasses.dataclass(frozen=True)
class Attention(Mixing):
    """Scaled dot-product attention (Vaswani 2017), with shared key heads (Shazeer 2019; Ainslie 2023).

    Attributes:
      heads: query heads.
      kv_heads: key and value heads; 0 means as many as query heads.
      head_dim: features of a head; 0 means embed / heads.
      mask: which keys a query may see.
      positions: position encoding.
      qk_norm: how queries and keys are normalised, if they are.
      kernel: how it is computed; None picks by platform, and where devices share a sequence `Ring` goes around it.
      bias: whether queries, keys and values have biases.
      output_bias: whether the output has one.
      scale: factor on products of queries and keys; 0 means head_dim^-1/2.
      softcap: above 0, scaled products become softcap * tanh(products / softcap) (Gemma 2).
      sinks: a learned logit a head that takes its share of the softmax and gives nothing (gpt-oss).
    """

    heads: int
    kv_heads: int = 0
    head_dim: int = 0
    mask: Mask = Causal()
    positions: Positions = Rope()
    qk_norm: QueryKeyNorm | None = None
    kernel: Kernel | None = None
    bias: bool = False
    output_bias: bool = False
    scale: float = 0.0
    softcap: float = 0.0
    sinks: bool = False

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ValueError(f"Attention.heads is {self.heads}; there is at least 1")
        for field in ("kv_heads", "head_dim", "scale", "softcap"):
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

    def check(self, embed: int) -> None:
        """Raises ValueError if the width does not divide into the heads."""
        self.features(embed)

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """Weights [embed, heads, head_dim] for each role, and the output's."""
        return AttentionLayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """All four projections."""
        return 2 * embed * self.features(embed) * (self.heads + self.key_heads)

    def weight_count(self, embed: int) -> int:
        """Projections, biases, scales and sinks."""
        features = self.features(embed)
        count = self.matmul_weights(embed) + self.sinks * self.heads + self.output_bias * embed
        if self.bias:
            count += features * (self.heads + 2 * self.key_heads)
        if self.qk_norm is not None:
            count += sum(self.qk_norm.weight_count(heads, features) for heads in (self.heads, self.key_heads))
        return count

    def features_per_key(self, embed: int) -> int:
        """A score and a value for each head."""
        return 2 * self.heads * self.features(embed)

    def kept_per_token(self, embed: int) -> int:
        """A key and a value for each key head."""
        return 2 * self.key_heads * self.features(embed)


class AttentionLayer(nnx.Module):
    """The weights of `Attention`, and its formula."""

    def __init__(self, spec: Attention, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        self.dropout, self.quantised = sizes.dropout, sizes.precision.products
        embed, features, precision = sizes.embed, spec.features(sizes.embed), sizes.precision
        self.scale = spec.scale or features**-0.5 * sizes.parametrization.scores(features)

        def inwards(heads: int, axis: str, std: float) -> nnx.Param:
            return normal(rngs, (embed, heads, features), (EMBED, axis, HEAD_DIM), std, sizes)

        def shift(heads: int, axis: str) -> nnx.Param | None:
            return filled(0.0, (heads, features), (axis, HEAD_DIM), precision) if spec.bias else None

        def norm(heads: int, axis: str) -> nnx.Module | None:
            return None if spec.qk_norm is None else spec.qk_norm.build(heads, axis, features, sizes)

        self.query = inwards(spec.heads, HEADS, sizes.init_std)
        self.key = inwards(spec.key_heads, KV_HEADS, sizes.init_std)
        self.value = inwards(spec.key_heads, KV_HEADS, sizes.inner_std)
        self.query_bias, self.key_bias = shift(spec.heads, HEADS), shift(spec.key_heads, KV_HEADS)
        self.value_bias = shift(spec.key_heads, KV_HEADS)
        self.query_norm, self.key_norm = norm(spec.heads, HEADS), norm(spec.key_heads, KV_HEADS)
        self.output = normal(
            rngs, (spec.heads, features, embed), (HEADS, HEAD_DIM, EMBED), sizes.residual_std, sizes
        )
        self.output_bias = filled(0.0, (embed,), (EMBED,), precision) if spec.output_bias else None
        self.sinks = filled(0.0, (spec.heads,), (HEADS,), precision) if spec.sinks else None

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        position_weights: nnx.Module | None,
        kept: Kept = None,
        dropout_key: Array | None = None,
    ) -> tuple[Float[Array, "batch seq embed"], Kept]:
        """Attends over the row itself, or over the cache with the row's one token written into it.

        Returns the output and the keys and values: of the row, or of the whole cache.
        """
        q = self._queries(x, step)
        k = self._placed(self._heads(x, self.key, self.key_bias, KV_HEADS), self.key_norm, step, "key")
        v = named(self._heads(x, self.value, self.value_bias, KV_HEADS), "value")
        if kept is None:
            seen = within_row(self.spec.mask, step)
        else:
            k, v = (
                constrain(x, BATCH, None, KV_HEADS, HEAD_DIM) for x in written(kept, (k, v), step, self.spec.mask)
            )
            seen = over_cache(self.spec.mask, step)
        return self._mixed(q, k, v, seen, position_weights, dropout_key), (k, v)

    def _heads(self, x: Array, weight: nnx.Param, bias: nnx.Param | None, axis: str) -> Array:
        heads = into_heads(x, weight[...], self.quantised)
        return constrain(shifted(heads, bias), BATCH, SEQ, axis, HEAD_DIM)

    def _queries(self, x: Array, step: Step) -> Array:
        """Queries in their places: scaled, if the kernel would begin with that."""
        heads = self._heads(x, self.query, self.query_bias, HEADS)
        heads = heads if self.query_norm is None else self.query_norm(heads)
        heads = self.spec.positions.at_heads(heads, step.position)
        observe("query", heads)
        # Together with the rotation, and kept for the backward pass, the scaling needs no pass over memory of its own.
        heads = heads * self.scale if kernel_of(self.spec.kernel).scales_first else heads
        return checkpoint_name(heads, "query")

    def _placed(self, heads: Array, norm: nnx.Module | None, step: Step, name: str) -> Array:
        heads = heads if norm is None else norm(heads)
        return named(self.spec.positions.at_heads(heads, step.position), name)

    def _mixed(
        self, q: Array, k: Array, v: Array, seen: Visibility, position_weights: nnx.Module | None, key: Array | None
    ) -> Array:
        spec = self.spec
        bias = spec.positions.at_logits(position_weights, spec.heads, seen.query.index, seen.key.index)
        sinks = None if self.sinks is None else self.sinks[...]
        kernel = kernel_of(spec.kernel)
        scores = Scores(1.0 if kernel.scales_first else self.scale, bias, spec.softcap, sinks)
        dropout = None if key is None or not self.dropout else Dropout(self.dropout, key)
        observe("scores", Attended(q, k, seen, scores))
        mixed = kernel.attend(q, k, v, seen, scores, dropout)
        mixed = constrain(mixed, BATCH, SEQ, HEADS, HEAD_DIM)
        mixed = by_itself(mixed if kernel.names_output else checkpoint_name(mixed, "attention"))
        mixed = shifted(out_of_heads(mixed, self.output[...], self.quantised), self.output_bias)
        return checkpoint_name(mixed, "mixed")


def named(x: Float[Array, "*shape"], name: str) -> Float[Array, "*shape"]:
    """`x`, under a name that rematerialisation and observers know."""
    observe(name, x)
    return checkpoint_name(x, name)


def kernel_of(chosen: Kernel | None) -> Kernel:
    """The chosen way to compute attention, or the platform's; in a ring where devices share a sequence."""
    kernel = chosen or kernel_for(platform())
    # Left to itself, the compiler would gather the sequence on every device.
    return kernel if kernel.divided or ways(SEQ) == 1 else Ring(kernel)


def within_row(mask: Mask, step: Step) -> Visibility:
    """Who sees whom in a row."""
    # Masks go by the index in the row; positions may start again in each packed document.
    index = jnp.arange(step.position.shape[1])[None]
    prefix = step.prefix if mask.prefixed() else None
    places = Places(index, step.segment, prefix)
    if step.length is None or (prefix is None and not looks_ahead(mask)):
        # Which keys a prefix adds no map of blocks knows.
        return Visibility(mask, places, places, plain=prefix is None)
    index = jnp.broadcast_to(index, step.position.shape)
    real = places._replace(index=jnp.where(index < step.length[:, None], index, -1))
    return Visibility(mask & _Filled(), places._replace(index=index), real, plain=False)


@functools.cache
def looks_ahead(mask: Mask) -> bool:
    """Whether a query may see a later key, so that padding on the right has to be hidden from it."""
    tried = 512
    return bool(np.triu(mask.blocks(tried, tried, 1) > 0, 1).any())


def written(kept: Kept, new: Kept, step: Step, mask: Mask) -> Kept:
    """The cache's arrays [batch, slots, ...] with one token a row written into its slot."""
    slots = jax.tree.leaves(kept)[0].shape[1]
    slot = slot_of(step.position[:, 0], mask.retention(), slots)
    return jax.tree.map(lambda whole, one: write(whole, one, slot), kept, new)


def over_cache(mask: Mask, step: Step) -> Visibility:
    """Which slots of the cache the row's one token sees, itself included."""
    assert step.cached is not None
    held = mark(step.cached, step.position[:, 0], mask.retention())
    # A prompt that is continued is a prefix.
    prefix = held < step.prompt[:, None] if mask.prefixed() and step.prompt is not None else None
    return Visibility(mask & _Filled(), Places(step.position), Places(held, prefix=prefix), plain=False)


@dataclasses.dataclass(frozen=True)
class _Filled(Mask):
    """Keys that are there: an index of -1 stands for an empty slot of a cache, or for padding."""

    def allowed(self, query: Places, key: Places) -> jax.Array:
        """True where the key is there."""
        return (key.index >= 0) & (query.index >= 0)
