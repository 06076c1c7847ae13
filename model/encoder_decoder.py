"""Encoder-decoders: the transformer as it was published, and T5."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.cache import Cache
from model.config import TransformerConfig
from model.cross_attention import CrossAttention
from model.encoder import Encoder
from model.mixing import Memory, Step
from model.observation import apart, pass_on
from model.parametrization import Rule
from model.positions import default_positions
from model.spec import Batch, Hidden, OfStacks
from model.transformer import DecoderLM, Outputs, routing_of


@dataclasses.dataclass(frozen=True)
class EncoderDecoderConfig(OfStacks):
    """An encoder, and a decoder each of whose blocks reads it.

    Attributes:
      encoder: its stack.
      decoder: its stack; cross attention comes between the attention and the feed-forward layer of each block.
      cross: the cross attention of each block.
      share_embedding: whether both have one embedding table.
    """

    encoder: TransformerConfig
    decoder: TransformerConfig
    cross: CrossAttention
    share_embedding: bool = True

    def __post_init__(self) -> None:
        for field in ("embed", "vocab") if self.share_embedding else ("embed",):
            one, other = getattr(self.encoder, field), getattr(self.decoder, field)
            if one != other:
                raise ValueError(f"encoder.{field} is {one} and decoder.{field} is {other}; they have to be the same")
        self.cross.check(self.decoder.embed)

    reads = frozenset({"source", "source_segment_ids"})

    @property
    def stacks(self) -> tuple[TransformerConfig, ...]:
        """The encoder and the decoder."""
        return self.encoder, self.decoder

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """Both stacks."""
        return EncoderDecoder(self, rngs)

    def flops_per_token(self, sequence: int, target: int = 0) -> float:
        """Of a source of `sequence` tokens and its target, over the tokens of the source.

        Cross attention reads every token of the source; its keys and values are made of the source's.
        """
        target, embed, cross = target or sequence, self.decoder.embed, self.cross
        keys = 2 * embed * cross.features(embed) * cross.key_heads
        queries = cross.matmul_weights(embed) - keys
        source = self.encoder.flops_per_token(sequence) - 6.0 * embed * self.encoder.vocab  # it has no logits
        source += 6.0 * self.decoder.layers * keys
        each = 6.0 * self.decoder.layers * (queries + sequence * cross.features_per_key(embed))
        return source + (self.decoder.flops_per_token(target) + each) * target / sequence

    def rule(self, path: tuple[str, ...], axes: tuple[str, ...]) -> Rule:
        """How the weight at `path`, with these logical axes, starts and learns."""
        return (self.encoder if path[0] == "encoder" else self.decoder).rule(path, axes)


class EncoderDecoder(nnx.Module):
    """Source and target tokens in, logits of the next target token out."""

    def __init__(self, config: EncoderDecoderConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoder = Encoder(config.encoder, rngs)
        blocks = [dataclasses.replace(block, cross=config.cross) for block in config.decoder.blocks]
        self.decoder = DecoderLM(config.decoder, rngs, blocks)
        if config.share_embedding:
            self.decoder.embedding = self.encoder.embedding

    def __call__(
        self,
        source: Int[Array, "batch source"],
        target: Int[Array, "batch target"],
        source_segments: Int[Array, "batch source"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch target vocab"]:
        """Logits, float32; see `outputs`."""
        return self.outputs(source, target, source_segments, target_segments, dropout_key).logits

    def outputs(
        self,
        source: Int[Array, "batch source"],
        target: Int[Array, "batch target"],
        source_segments: Int[Array, "batch source"] | None = None,
        target_segments: Int[Array, "batch target"] | None = None,
        dropout_key: Array | None = None,
    ) -> Outputs:
        """Logits, and what routed layers tell, the encoder's under `encoder/`.

        Segments tell packed pairs apart, and padding (0) from tokens (1 and up): a target token reads the
        source tokens of its own segment. Without them nothing is padding.
        """
        keys = _keys(dropout_key)
        memory, loss, figures = self._read(source, source_segments, keys[0])
        found = self.decoder.outputs(target, None, target_segments, keys[1], memory)
        return Outputs(found.logits, loss + found.loss, figures | found.figures)

    def hidden(self, batch: Batch, dropout_key: Array | None = None) -> Hidden:
        """The decoder's stream after its last block, of `source`, `source_segment_ids` and the decoder's own fields."""
        keys = _keys(dropout_key)
        memory, loss, figures = self._read(batch["source"], batch["source_segment_ids"], keys[0])
        found = self.decoder.hidden(batch, keys[1], memory)
        return Hidden(found.x, loss + found.loss, figures | found.figures)

    def _read(
        self, source: Array, segments: Array | None, dropout_key: Array | None
    ) -> tuple[Memory, Array, dict[str, Array]]:
        """What the encoder makes of a source, and what its routed layers add to the loss and tell."""
        with apart() as seen:
            x, results = self.encoder.read(source, Step(default_positions(source), segments), dropout_key)
        pass_on("encoder", seen)
        loss, figures = routing_of(results)
        told = {f"encoder/{name}": value for name, value in figures.items()}
        return Memory(self.encoder.normalised(x), segments), loss, told

    def logits(self, x: Float[Array, "batch target embed"]) -> Float[Array, "batch target vocab"]:
        """Logits, float32, of a stream after the decoder's last block."""
        return self.decoder.logits(x)

    def prefill(
        self,
        tokens: Int[Array, "batch seq"],
        lengths: Int[Array, " batch"],
        capacity: int,
        source: Int[Array, "batch source"],
        source_lengths: Int[Array, " batch"],
    ) -> tuple[Float[Array, "batch vocab"], Cache]:
        """Reads sources and the first target tokens, both padded on the right; see `DecoderLM.prefill`."""
        segments = (jnp.arange(source.shape[1]) < source_lengths[:, None]).astype(jnp.int32)
        memory = Memory(self.encoder(source, None, segments), segments)
        return self.decoder.prefill(tokens, lengths, capacity, memory)

    def decode(
        self, token: Int[Array, " batch"], position: Int[Array, " batch"], cache: Cache
    ) -> tuple[Float[Array, "batch vocab"], Cache]:
        """Reads one more target token a row; see `DecoderLM.decode`."""
        return self.decoder.decode(token, position, cache)


def _keys(dropout_key: Array | None) -> tuple[Array | None, Array | None]:
    return (None, None) if dropout_key is None else tuple(jax.random.split(dropout_key))
