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
from model.mixing import Memory
from model.observation import apart, pass_on
from model.parametrization import Rule
from model.transformer import DecoderLM, Outputs


@dataclasses.dataclass(frozen=True)
class EncoderDecoderConfig:
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

    @property
    def noisy(self) -> bool:
        """Whether training drops anything at random."""
        return self.encoder.noisy or self.decoder.noisy

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
        """Logits, and what the decoder's routed layers tell.

        Segments tell packed pairs apart, and padding (0) from tokens (1 and up): a target token reads the
        source tokens of its own segment. Without them nothing is padding.
        """
        keys = (None, None) if dropout_key is None else tuple(jax.random.split(dropout_key))
        with apart() as seen:
            memory = Memory(self.encoder(source, None, source_segments, keys[0]), source_segments)
        pass_on("encoder", seen)
        return self.decoder.outputs(target, None, target_segments, keys[1], memory)

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
