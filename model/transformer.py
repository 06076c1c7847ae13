"""Transformers: an embedding and a stack of blocks, and the decoder-only language model made of them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.cache import Cache, LayerCache, fill, slots_for
from model.config import BlockSpec, TransformerConfig
from model.layers import embedding, linear
from model.mixing import Memory, Step
from model.parameters import filled, normal
from model.position_weights import PositionWeights
from model.positions import default_positions
from model.spec import Batch, Hidden
from model.stack import BlockResult, Stack, drop
from sharding.axes import BATCH, EMBED, SEQ, TYPES, VOCAB, constrain

__all__ = ["DecoderLM", "Outputs", "Transformer", "TransformerConfig"]


class Outputs(NamedTuple):
    """What a language model gives of a batch.

    Attributes:
      logits: [batch, seq, vocab], float32.
      loss: what routing adds to the loss of a token, summed over layers; 0 for a model that does not route.
      figures: means over tokens by name, [repeats] or [repeats, experts]; empty for a model that does not route.
    """

    logits: Float[Array, "batch seq vocab"]
    loss: Float[Array, ""]
    figures: dict[str, Array]


class Transformer(nnx.Module):
    """Tokens to a normalised residual stream; the base of decoders and encoders."""

    def __init__(
        self, config: TransformerConfig, rngs: nnx.Rngs, blocks: Sequence[BlockSpec] | None = None
    ) -> None:
        self.config = config
        sizes, embed = config.sizes, config.embedding
        blocks = config.blocks if blocks is None else blocks
        self.embedding = normal(rngs, (config.vocab, config.embed), (VOCAB, EMBED), sizes.init_std, sizes)
        self.types = (
            normal(rngs, (embed.types, config.embed), (TYPES, EMBED), sizes.init_std, sizes)
            if embed.types
            else None
        )
        self.positions = PositionWeights(config, blocks, rngs)
        self.embedding_norm = None if embed.norm is None else embed.norm.build(sizes, rngs)
        self.blocks = Stack(config, blocks, rngs)
        self.final_norm = config.norm.build(sizes, rngs) if config.residual.final_norm else None

    def embedded(
        self,
        tokens: Int[Array, "batch seq"],
        position: Int[Array, "batch seq"],
        types: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch seq embed"]:
        """The stream before the first block; without `types` all tokens are of type 0."""
        spec = self.config.embedding
        x = embedding(self.embedding[...], tokens).astype(self.config.precision.compute_dtype)
        x = x if spec.scale == 1 else x * jnp.asarray(spec.scale, x.dtype)
        if self.types is not None:
            table = self.types[...].astype(x.dtype)
            x = x + (table[0] if types is None else embedding(table, types))
        x = self.positions.at_input(x, position)
        x = x if self.embedding_norm is None else self.embedding_norm(x)
        # Layers use the indices from 0; the embedding takes one that no layer has.
        key = None if dropout_key is None else jax.random.fold_in(dropout_key, self.config.layers)
        return constrain(drop(x, self.config.dropout, key), BATCH, SEQ, EMBED)

    def stream(
        self, x: Float[Array, "batch seq embed"], step: Step, cache: Cache | None = None,
        dropout_key: Array | None = None, keep: bool = False,
    ) -> tuple[Float[Array, "batch seq embed"], dict[str, BlockResult]]:
        """The stream after all blocks, not yet normalised, and what each place of the stack gave besides."""
        return self.blocks(x, step, self.positions, cache, dropout_key, keep)

    def read(
        self,
        tokens: Int[Array, "batch seq"],
        step: Step,
        dropout_key: Array | None = None,
        types: Int[Array, "batch seq"] | None = None,
    ) -> tuple[Float[Array, "batch seq embed"], dict[str, BlockResult]]:
        """`stream` of the embedded tokens, over the row itself."""
        return self.stream(self.embedded(tokens, step.position, types, dropout_key), step, None, dropout_key)

    def normalised(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq embed"]:
        """The stream as it is read after the last block."""
        return x if self.final_norm is None else self.final_norm(x)


class DecoderLM(Transformer):
    """A decoder-only language model: tokens in, logits of the next token out."""

    def __init__(
        self, config: TransformerConfig, rngs: nnx.Rngs, blocks: Sequence[BlockSpec] | None = None
    ) -> None:
        super().__init__(config, rngs, blocks)
        precision = config.precision
        self.unembedding = (
            None
            if config.tie_embeddings
            else normal(rngs, (config.embed, config.vocab), (EMBED, VOCAB), config.parametrization.std, config.sizes)
        )
        self.logits_bias = filled(0.0, (config.vocab,), (VOCAB,), precision) if config.logits.bias else None

    def __call__(
        self,
        tokens: Int[Array, "batch seq"],
        positions: Int[Array, "batch seq"] | None = None,
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch seq vocab"]:
        """Logits, float32. Without `positions` each row counts from 0; without a key nothing is dropped."""
        return self.outputs(tokens, positions, segments, dropout_key).logits

    def outputs(
        self,
        tokens: Int[Array, "batch seq"],
        positions: Int[Array, "batch seq"] | None = None,
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
        memory: Memory | None = None,
    ) -> Outputs:
        """Logits, and what routed layers add to the loss and tell of themselves; `memory` is for cross attention."""
        step = Step(default_positions(tokens) if positions is None else positions, segments, memory=memory)
        x, results = self.read(tokens, step, dropout_key)
        return Outputs(self.logits(x), *routing_of(results))

    def hidden(self, batch: Batch, dropout_key: Array | None = None, memory: Memory | None = None) -> Hidden:
        """The stream after the last block, of the fields `inputs`, `positions`, `segment_ids` and `prefix`."""
        tokens, positions = batch["inputs"], batch.get("positions")
        positions = default_positions(tokens) if positions is None else positions
        step = Step(positions, batch.get("segment_ids"), memory=memory, prefix=batch.get("prefix"))
        x, results = self.read(tokens, step, dropout_key)
        return Hidden(x, *routing_of(results))

    def prefill(
        self,
        tokens: Int[Array, "batch seq"],
        lengths: Int[Array, " batch"],
        capacity: int,
        memory: Memory | None = None,
    ) -> tuple[Float[Array, "batch vocab"], Cache]:
        """Reads prompts padded on the right in one pass.

        Args:
          tokens: the prompts.
          lengths: how many tokens of each row are real; at least 1.
          capacity: tokens a row may grow to.
          memory: what cross attention reads; it is kept in the cache.

        Returns:
          The logits after each row's last real token, and a cache to decode from.
        """
        prompt = jnp.ones_like(tokens)
        step = Step(default_positions(tokens), length=lengths, memory=memory, prefix=prompt)
        x, results = self.stream(self.embedded(tokens, step.position), step, keep=True)
        last = jnp.take_along_axis(x, (lengths - 1)[:, None, None], axis=1)
        return self.logits(last)[:, 0], self._filled(results, lengths, capacity)

    def decode(
        self, token: Int[Array, " batch"], position: Int[Array, " batch"], cache: Cache
    ) -> tuple[Float[Array, "batch vocab"], Cache]:
        """Reads one more token a row, each at its own position; returns the next logits and the cache."""
        step = Step(position[:, None])
        x, results = self.stream(self.embedded(token[:, None], step.position), step, cache, keep=True)
        return self.logits(x)[:, 0], self.blocks.cached(results, step, cache)

    def logits(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq vocab"]:
        """Logits, float32, of a stream after the last block."""
        spec, scale, x = self.config.logits, self.config.logits_scale, self.normalised(x)
        x = x if scale == 1 else x * jnp.asarray(scale, x.dtype)
        weight = self.embedding[...].T if self.unembedding is None else self.unembedding[...]
        logits = linear(x, weight, jnp.float32)
        if self.logits_bias is not None:
            logits = logits + self.logits_bias[...].astype(jnp.float32)
        if spec.softcap:
            logits = spec.softcap * jnp.tanh(logits / spec.softcap)
        return constrain(logits, BATCH, SEQ, VOCAB)

    def _filled(self, results: dict[str, BlockResult], lengths: Array, capacity: int) -> Cache:
        cache: dict[str, LayerCache] = {}
        for name, result in results.items():
            held = self.blocks.retention(name)
            # What cross attention keeps is the encoder's, and stays as it is.
            own, crossed = result.kept if self.blocks.has_cross(name) else (result.kept, None)
            filled = fill(own, lengths, held, slots_for(held, capacity))
            cache[name] = filled if crossed is None else filled._replace(kept=(filled.kept, crossed))
        return cache


def routing_of(results: dict[str, BlockResult]) -> tuple[Array, dict[str, Array]]:
    """What all layers add to the loss of a token, and their figures by `place/name`."""
    loss, figures = jnp.zeros((), jnp.float32), {}
    for place, result in results.items():
        if (routing := result.routing) is not None:
            loss = loss + jnp.sum(routing.loss)
            figures |= {f"{place}/{name}": value for name, value in routing.figures.items()}
    return loss, figures
