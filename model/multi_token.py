"""Multi-token prediction: further modules on a decoder's stream, each telling one token more ahead."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.config import BlockSpec, TransformerConfig
from model.layers import linear
from model.mixing import Step
from model.moe import MoE
from model.parameters import normal
from model.parametrization import Rule
from model.position_weights import PositionWeights
from model.positions import default_positions
from model.spec import Batch, OfStacks
from model.stack import Stack
from model.transformer import DecoderLM
from sharding.axes import EMBED


@dataclasses.dataclass(frozen=True)
class MultiTokenConfig(OfStacks):
    """A decoder with further modules one after the other (DeepSeek-V3, arXiv:2412.19437, section 2.2, eqs. 21 to 23).

    Module k joins the stream of the one before it (first the decoder's own) with the embedding of the token k places
    on, and puts them through a block like the decoder's last; embedding, final norm and unembedding are the
    decoder's. The further modules take part in training alone: evaluation, metrics and decoding are of the decoder.

    Attributes:
      decoder: the model of the next token; its last block must not route.
      further: how many further tokens are predicted; 1 in DeepSeek-V3.
    """

    decoder: TransformerConfig
    further: int = 1

    def __post_init__(self) -> None:
        if self.further < 1:
            raise ValueError(f"MultiTokenConfig.further is {self.further}; it is at least 1")
        if isinstance(self.decoder.blocks[-1].feedforward, MoE):
            raise ValueError("MultiTokenConfig.decoder routes in its last block, whose like further modules have")

    @property
    def stacks(self) -> tuple[TransformerConfig, ...]:
        """The decoder."""
        return (self.decoder,)

    @property
    def block(self) -> BlockSpec:
        """The block of a further module."""
        return self.decoder.blocks[-1]

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The decoder and its further modules."""
        return MultiToken(self, rngs)

    def rule(self, path: tuple[str, ...], axes: tuple[str, ...]) -> Rule:
        """How the weight at `path`, with these logical axes, starts and learns."""
        return self.decoder.rule(path, axes)

    def flops_per_token(self, sequence: int, target: int = 0) -> float:
        """Those of the decoder, and for each further module of its join, its block and its logits."""
        one = dataclasses.replace(
            self.decoder, layers=1, attention=self.block.attention, feedforward=self.block.feedforward
        )
        each = one.flops_per_token(sequence) + 12.0 * self.decoder.embed**2
        return self.decoder.flops_per_token(sequence) + self.further * each


class Further(nnx.Module):
    """The weights of one further module."""

    def __init__(self, config: TransformerConfig, block: BlockSpec, rngs: nnx.Rngs) -> None:
        sizes, embed = config.sizes, config.embed
        self.stream_norm, self.token_norm = config.norm.build(sizes, rngs), config.norm.build(sizes, rngs)
        std = config.parametrization.std
        self.from_stream = normal(rngs, (embed, embed), (EMBED, EMBED), std, sizes)
        self.from_token = normal(rngs, (embed, embed), (EMBED, EMBED), std, sizes)
        self.block = Stack(config, (block,), rngs)

    def __call__(
        self, x: Float[Array, "batch seq embed"], token: Float[Array, "batch seq embed"], step: Step,
        positions: PositionWeights, dropout_key: Array | None,
    ) -> Float[Array, "batch seq embed"]:
        """The stream after the block: of one matrix on [stream; token], which stands here as two (eq. 21)."""
        stream, token = self.stream_norm(x), self.token_norm(token)
        joined = linear(stream, self.from_stream[...]) + linear(token, self.from_token[...])
        return self.block(joined, step, positions, None, dropout_key)[0]


class MultiToken(DecoderLM):
    """A decoder whose training also asks its stream for tokens further on."""

    def __init__(self, config: MultiTokenConfig, rngs: nnx.Rngs) -> None:
        super().__init__(config.decoder, rngs)
        self.count = config.further
        for k in range(1, config.further + 1):
            setattr(self, f"further{k}", Further(config.decoder, config.block, rngs))

    def ahead(
        self, batch: Batch, x: Float[Array, "batch seq embed"], dropout_key: Array | None = None
    ) -> Iterator[Float[Array, "batch seq embed"]]:
        """By k from 1, the streams whose `logits` tell the target k places after each place's own.

        At the last k places of a row they tell nothing.
        """
        tokens, positions = batch["inputs"], batch.get("positions")
        positions = default_positions(tokens) if positions is None else positions
        step = Step(positions, batch.get("segment_ids"), prefix=batch.get("prefix"))
        for k in range(1, self.count + 1):
            # Layers and the embedding use the indices up to the number of layers.
            key = None if dropout_key is None else jax.random.fold_in(dropout_key, self.config.layers + k)
            token = self.embedded(shifted_on(tokens, k), positions)
            x = getattr(self, f"further{k}")(x, token, step, self.positions, key)
            yield x


def shifted_on(x: Array, places: int) -> Array:
    """[batch, seq], each entry what stands so many places after it; 0 where the row ends before."""
    return jnp.pad(x[:, places:], ((0, 0), (0, places)))
