"""Encoders: transformers whose tokens see both ways, and the masked language model made of one."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.config import TransformerConfig
from model.feedforward import ACTIVATIONS, check_activation, shifted
from model.layers import linear
from model.mixing import Step
from model.norms import Norm, RMSNorm
from model.parameters import filled, normal
from model.parametrization import Rule
from model.positions import default_positions
from model.spec import Batch, Hidden, OfStacks
from model.transformer import Outputs, Transformer, routing_of
from sharding.axes import BATCH, EMBED, SEQ, VOCAB, constrain


class Encoder(Transformer):
    """Tokens to a normalised stream. Whether they see both ways is their attention's mask's matter."""

    def __call__(
        self,
        tokens: Int[Array, "batch seq"],
        positions: Int[Array, "batch seq"] | None = None,
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
        types: Int[Array, "batch seq"] | None = None,
    ) -> Float[Array, "batch seq embed"]:
        """The stream after the last block, normalised.

        Args:
          tokens: token ids.
          positions: of the tokens; 0, 1, 2, ... if not given.
          segments: with the mask `Segments()`, tokens see those of their own; padding is one of its own.
          dropout_key: nothing is dropped without it.
          types: token types; all 0 if not given.
        """
        step = Step(default_positions(tokens) if positions is None else positions, segments)
        return self.normalised(self.read(tokens, step, dropout_key, types)[0])


@dataclasses.dataclass(frozen=True)
class MaskedLMConfig(OfStacks):
    """An encoder with a head that tells masked tokens (Devlin 2018, section 3.1).

    Attributes:
      encoder: the encoder; its logits spec and whether it ties embeddings count for the head.
      activation: of the head's own layer, a name of `ACTIVATIONS`.
      norm: of that layer's output.
    """

    encoder: TransformerConfig
    activation: str = "gelu"
    norm: Norm = RMSNorm()

    def __post_init__(self) -> None:
        check_activation("MaskedLMConfig", self.activation)

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return self.encoder.layers

    both_ways = True

    @property
    def stacks(self) -> tuple[TransformerConfig, ...]:
        """The encoder."""
        return (self.encoder,)

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The encoder and its head."""
        return MaskedLM(self, rngs)

    def flops_per_token(self, sequence: int, target: int = 0) -> float:
        """Those of the encoder and of the head's own layer."""
        return self.encoder.flops_per_token(sequence) + 6.0 * self.encoder.embed**2

    def rule(self, path: tuple[str, ...], axes: tuple[str, ...]) -> Rule:
        """How the weight at `path`, with these logical axes, starts and learns."""
        return self.encoder.rule(path, axes)


class MaskedLM(Encoder):
    """An encoder and logits of what stands at each place: a layer, its norm, and the embedding table."""

    def __init__(self, config: MaskedLMConfig, rngs: nnx.Rngs) -> None:
        spec = config.encoder
        super().__init__(spec, rngs)
        self.head = config
        embed, precision = spec.embed, spec.precision
        self.head_weight = normal(rngs, (embed, embed), (EMBED, EMBED), spec.parametrization.std, spec.sizes)
        self.head_bias = filled(0.0, (embed,), (EMBED,), precision)
        self.head_norm = config.norm.build(spec.sizes, rngs)
        self.logits_bias = filled(0.0, (spec.vocab,), (VOCAB,), precision)
        self.unembedding = (
            None
            if spec.tie_embeddings
            else normal(rngs, (embed, spec.vocab), (EMBED, VOCAB), spec.parametrization.std, spec.sizes)
        )

    def __call__(
        self,
        tokens: Int[Array, "batch seq"],
        positions: Int[Array, "batch seq"] | None = None,
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
        types: Int[Array, "batch seq"] | None = None,
    ) -> Float[Array, "batch seq vocab"]:
        """Logits, float32, at every place; see `Encoder` for the arguments."""
        return self.outputs(tokens, positions, segments, dropout_key, types).logits

    def outputs(
        self,
        tokens: Int[Array, "batch seq"],
        positions: Int[Array, "batch seq"] | None = None,
        segments: Int[Array, "batch seq"] | None = None,
        dropout_key: Array | None = None,
        types: Int[Array, "batch seq"] | None = None,
    ) -> Outputs:
        """Logits, and what routed layers add to the loss and tell of themselves."""
        step = Step(default_positions(tokens) if positions is None else positions, segments)
        x, results = self.read(tokens, step, dropout_key, types)
        return Outputs(self.logits(x), *routing_of(results))

    def hidden(self, batch: Batch, dropout_key: Array | None = None) -> Hidden:
        """The stream after the last block, of the fields `inputs`, `positions` and `segment_ids`."""
        tokens, positions = batch["inputs"], batch.get("positions")
        step = Step(default_positions(tokens) if positions is None else positions, batch.get("segment_ids"))
        x, results = self.read(tokens, step, dropout_key)
        return Hidden(x, *routing_of(results))

    def logits(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq vocab"]:
        """Logits, float32, of a stream after the last block."""
        x = shifted(linear(self.normalised(x), self.head_weight[...]), self.head_bias)
        x = self.head_norm(ACTIVATIONS[self.head.activation](x))
        weight = self.embedding[...].T if self.unembedding is None else self.unembedding[...]
        scale = self.config.parametrization.logits(self.config.embed)
        x = x if scale == 1 else x * jnp.asarray(scale, x.dtype)
        logits = linear(x, weight, jnp.float32) + self.logits_bias[...].astype(jnp.float32)
        return constrain(logits, BATCH, SEQ, VOCAB)
