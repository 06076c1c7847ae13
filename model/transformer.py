"""The transformer: one config, one block, and the decoder-only language model made of them."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.attention import Attention, AttentionLayer, KeysValues, Step
from model.cache import Cache, fill, mark
from model.feedforward import FeedForward
from model.layers import embedding, linear
from model.norms import Norm, RMSNorm
from model.parameters import Sizes, normal, stacked
from model.positions import default_positions
from model.precision import Precision
from model.remat import POLICIES, rematerialised
from model.residual import PreNorm, Residual
from sharding.axes import BATCH, EMBED, SEQ, VOCAB, constrain, platform


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """A stack of equal blocks.

    Attributes:
      layers: number of blocks.
      embed: width of the residual stream.
      vocab: number of token ids.
      attention: the attention layer.
      feedforward: the feed-forward layer.
      norm: normalisation, of each layer's input and of the final stream.
      residual: how layers join the stream.
      tie_embeddings: whether the logits use the embedding table.
      dropout: share of activations dropped in training (embedding, attention probabilities, layer outputs).
      init_std: standard deviation of weights at the start.
      precision: number formats.
      remat: what the backward pass keeps of a block; a name of `model.remat.POLICIES`.
    """

    layers: int
    embed: int
    vocab: int
    attention: Attention
    feedforward: FeedForward
    norm: Norm = RMSNorm()
    residual: Residual = PreNorm()
    tie_embeddings: bool = True
    dropout: float = 0.0
    init_std: float = 0.02
    precision: Precision = Precision()
    remat: str = "none"

    def __post_init__(self) -> None:
        for field in ("layers", "embed", "vocab"):
            if getattr(self, field) < 1:
                raise ValueError(f"model.{field} is {getattr(self, field)}; it is at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout is {self.dropout}; it is at least 0 and below 1")
        if self.remat not in POLICIES:
            raise ValueError(f"model.remat is '{self.remat}'; it is one of {', '.join(POLICIES)}")
        self.attention.features(self.embed)

    @property
    def sizes(self) -> Sizes:
        """What the parts need to know of the whole."""
        return Sizes(self.embed, self.layers, self.dropout, self.init_std, self.precision)

    def flops_per_token(self, sequence: int) -> float:
        """Model FLOPs to train on one token: 6 a matmul weight, and 12 a feature and visible key in attention.

        The rule of PaLM (Chowdhery 2022, appendix B), with each masked-out key left out, so that causal
        attention counts half. Embedding look-ups, norms and recomputation count nothing.
        """
        attention = self.attention
        block = attention.matmul_weights(self.embed) + self.feedforward.matmul_weights(self.embed)
        seen = attention.mask.density(sequence) * attention.heads * attention.features(self.embed)
        return 6.0 * (self.layers * block + self.embed * self.vocab) + 12.0 * self.layers * seen


# Layers up to which the CPU's faster program is worth the time to compile it.
_UNROLLED = 12


class Block(nnx.Module):
    """Attention and feed-forward, each joined to the residual stream."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        self.attention_norm = config.norm.build(config.sizes, rngs)
        self.attention = AttentionLayer(config.attention, config.sizes, rngs)
        self.feedforward_norm = config.norm.build(config.sizes, rngs)
        self.feedforward = config.feedforward.build(config.sizes, rngs)

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        position_weights: nnx.Module | None,
        cache: KeysValues | None,
        dropout_key: Array | None,
    ) -> tuple[Float[Array, "batch seq embed"], KeysValues]:
        """One block; returns the stream, and the keys and values of its attention."""
        keys = (None,) * 3 if dropout_key is None else jax.random.split(dropout_key, 3)
        kept: list[KeysValues] = []

        def attend(y: Array) -> Array:
            y, keys_values = self.attention(y, step, position_weights, cache, keys[0])
            kept.append(keys_values)
            return drop(y, self.config.dropout, keys[1])

        def feed(y: Array) -> Array:
            return drop(self.feedforward(y), self.config.dropout, keys[2])

        x = self.config.residual.join(x, self.attention_norm, attend)
        x = self.config.residual.join(x, self.feedforward_norm, feed)
        return constrain(x, BATCH, SEQ, EMBED), kept[0]


class _Pass(NamedTuple):
    """What varies from layer to layer while the blocks are scanned."""

    weights: Any
    cache: KeysValues | None
    dropout_key: Array | None


class DecoderLM(nnx.Module):
    """A decoder-only language model: tokens in, logits of the next token out."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        sizes = config.sizes
        self.embedding = normal(rngs, (config.vocab, config.embed), (VOCAB, EMBED), config.init_std, sizes.precision)
        self.positions = config.attention.positions.weights(sizes, config.attention.heads, rngs)
        self.blocks = stacked(lambda r: Block(config, r), config.layers, rngs)
        self.final_norm = config.norm.build(sizes, rngs) if config.residual.final_norm() else None
        self.unembedding = (
            None
            if config.tie_embeddings
            else normal(rngs, (config.embed, config.vocab), (EMBED, VOCAB), config.init_std, sizes.precision)
        )

    def __call__(
        self,
        tokens: Int[Array, "batch seq"],
        positions: Int[Array, "batch seq"] | None = None,
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch seq vocab"]:
        """Logits, float32. Without `positions` each row counts from 0; without a key nothing is dropped."""
        step = Step(default_positions(tokens) if positions is None else positions, segments)
        x, _ = self._scan(self._embed(tokens, step, dropout_key), step, None, dropout_key, keep=False)
        return self._logits(x)

    def prefill(
        self, tokens: Int[Array, "batch seq"], lengths: Int[Array, " batch"], capacity: int
    ) -> tuple[Float[Array, "batch vocab"], Cache]:
        """Reads prompts padded on the right in one pass.

        Args:
          tokens: the prompts.
          lengths: how many tokens of each row are real; at least 1.
          capacity: tokens a row may grow to.

        Returns:
          The logits after each row's last real token, and a cache to decode from.
        """
        step = Step(default_positions(tokens))
        x, (k, v) = self._scan(self._embed(tokens, step, None), step, None, None, keep=True)
        last = jnp.take_along_axis(x, (lengths - 1)[:, None, None], axis=1)
        held = self.config.attention.mask.retention()
        slots = capacity if held.latest is None or held.first else min(held.latest, capacity)
        return self._logits(last)[:, 0], fill(k, v, lengths, slots)

    def decode(
        self, token: Int[Array, " batch"], position: Int[Array, " batch"], cache: Cache
    ) -> tuple[Float[Array, "batch vocab"], Cache]:
        """Reads one more token a row, each at its own position; returns the next logits and the cache."""
        step = Step(position[:, None], cached=cache.position)
        x = self._embed(token[:, None], step, None)
        x, (k, v) = self._scan(x, step, (cache.k, cache.v), None, keep=True)
        return self._logits(x)[:, 0], Cache(k, v, mark(cache.position, position))

    def _embed(self, tokens: Array, step: Step, dropout_key: Array | None) -> Array:
        x = embedding(self.embedding[...], tokens).astype(self.config.precision.compute_dtype)
        x = self.config.attention.positions.at_input(self.positions, x, step.position)
        # Layers use the indices from 0; the embedding takes one that no layer has.
        key = None if dropout_key is None else jax.random.fold_in(dropout_key, self.config.layers)
        return constrain(drop(x, self.config.dropout, key), BATCH, SEQ, EMBED)

    def _scan(
        self, x: Array, step: Step, cache: KeysValues | None, dropout_key: Array | None, keep: bool
    ) -> tuple[Array, KeysValues | None]:
        graph, weights = nnx.split(self.blocks)
        layers = jnp.arange(self.config.layers)
        keys = None if dropout_key is None else jax.vmap(lambda i: jax.random.fold_in(dropout_key, i))(layers)

        def body(x: Array, layer: _Pass) -> tuple[Array, KeysValues | None]:
            block = nnx.merge(graph, layer.weights)
            x, keys_values = block(x, step, self.positions, layer.cache, layer.dropout_key)
            return x, keys_values if keep else None

        # On a CPU a rolled loop saves its residuals by copies on one thread; there the layers are written out.
        unroll = platform() == "cpu" and self.config.layers <= _UNROLLED
        body = rematerialised(body, self.config.remat, rolled=not unroll)
        return jax.lax.scan(body, x, _Pass(weights, cache, keys), unroll=unroll)

    def _logits(self, x: Array) -> Array:
        x = x if self.final_norm is None else self.final_norm(x)
        weight = self.embedding[...].T if self.unembedding is None else self.unembedding[...]
        return constrain(linear(x, weight, jnp.float32), BATCH, SEQ, VOCAB)


def drop(x: Float[Array, "*shape"], rate: float, key: Array | None) -> Float[Array, "*shape"]:
    """Dropout (Srivastava 2014): zeroes a share `rate` and scales the rest up; the identity without a key."""
    if key is None or not rate:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0).astype(x.dtype)
