"""What a stack of transformer blocks is made of."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from flax import nnx

from model import attention, latent_attention, moe  # noqa: F401 - specs are found by name among those imported
from model.feedforward import FeedForward, FeedForwardPlan
from model.mixing import Mixing, MixingPlan
from model.norms import Norm, RMSNorm
from model.parameters import Sizes
from model.parametrization import Parametrization, Rule, Standard
from model.positions import Positions
from model.precision import Precision
from model.remat import POLICIES
from model.residual import PreNorm, Residual
from model.spec import ModelSpec
from model.stochastic_depth import StochasticDepth  # noqa: F401 - as above


@dataclasses.dataclass(frozen=True)
class Embedding:
    """How tokens enter the residual stream.

    Attributes:
      scale: factor on the vectors of the table; embed^1/2 in Vaswani 2017 and Gemma.
      norm: a normalisation of the sum of all embeddings, if there is one (BERT).
      types: number of token types, each with a vector that is added (BERT's segments A and B); 0: none.
    """

    scale: float = 1.0
    norm: Norm | None = None
    types: int = 0

    def __post_init__(self) -> None:
        if self.types < 0:
            raise ValueError(f"Embedding.types is {self.types}; it is at least 0")


@dataclasses.dataclass(frozen=True)
class Logits:
    """How the residual stream becomes logits.

    Attributes:
      scale: factor on the stream, besides the parametrization's; embed^-1/2 in T5's tied form.
      softcap: above 0, logits become softcap * tanh(logits / softcap) (Gemma 2).
      bias: whether there is a bias [vocab].
    """

    scale: float = 1.0
    softcap: float = 0.0
    bias: bool = False

    def __post_init__(self) -> None:
        if self.softcap < 0:
            raise ValueError(f"Logits.softcap is {self.softcap}; it is at least 0")


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """The layers of one block.

    Attributes:
      attention: by which the tokens of a row see one another.
      feedforward: which works on each token alone.
      cross: by which a decoder's tokens see those of an encoder; None without an encoder.
    """

    attention: Mixing
    feedforward: FeedForward
    cross: Mixing | None = None

    @property
    def layers(self) -> int:
        """Number of layers."""
        return 2 if self.cross is None else 3


@dataclasses.dataclass(frozen=True)
class TransformerConfig(ModelSpec):
    """A stack of blocks between an embedding and logits.

    Attributes:
      layers: number of blocks.
      embed: width of the residual stream.
      vocab: number of token ids.
      attention: the attention layer of each block: one for all, or a plan such as `Interleaved`.
      feedforward: the feed-forward layer of each block: one for all, or a plan such as `LeadingFeedForward`.
      norm: normalisation, of each layer's input and of the final stream.
      residual: how layers join the stream.
      tie_embeddings: whether the logits use the embedding table.
      embedding: how tokens enter the stream.
      logits: how the stream becomes logits.
      dropout: share of activations dropped in training (embedding, attention probabilities, layer outputs).
      parametrization: how weights start and how strongly they learn, by width and depth.
      precision: number formats.
      remat: what the backward pass keeps of a block; a name of `model.remat.POLICIES`.
    """

    layers: int
    embed: int
    vocab: int
    attention: MixingPlan
    feedforward: FeedForwardPlan
    norm: Norm = RMSNorm()
    residual: Residual = PreNorm()
    tie_embeddings: bool = True
    embedding: Embedding = Embedding()
    logits: Logits = Logits()
    dropout: float = 0.0
    parametrization: Parametrization = Standard()
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
        for mixing in self.mixings:
            mixing.check(self.embed)
        self.parametrization.check(self.residual.additive)

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """A decoder."""
        from model.transformer import DecoderLM

        return DecoderLM(self, rngs)

    @staticmethod
    def renewed(stored: Mapping[str, Any]) -> dict[str, Any]:
        """A stored config in today's words: `parametrization` was once a number, `init_std`."""
        now = {key: value for key, value in stored.items() if key != "init_std"}
        if "init_std" in stored:
            now["parametrization"] = {"type": "Standard", "std": stored["init_std"]}
        return now

    @functools.cached_property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """The layers of each block, first to last."""
        return tuple(BlockSpec(self.attention.at(i), self.feedforward.at(i)) for i in range(self.layers))

    @property
    def mixings(self) -> tuple[Mixing, ...]:
        """The different attention layers, in the order in which blocks first have them."""
        return tuple(dict.fromkeys(block.attention for block in self.blocks))

    @property
    def sizes(self) -> Sizes:
        """What the parts need to know of the whole."""
        spreads = self.residual.spreads()
        return Sizes(self.embed, self.layers, self.dropout, self.parametrization, self.precision, spreads)

    @property
    def noisy(self) -> bool:
        """Whether training drops anything at random."""
        return self.dropout > 0 or self.residual.noisy

    @property
    def logits_scale(self) -> float:
        """What the stream is multiplied with before it becomes logits."""
        return self.logits.scale * self.parametrization.logits(self.embed)

    def rule(self, path: tuple[str, ...], axes: tuple[str, ...]) -> Rule:
        """How the weight at `path`, with these logical axes, starts and learns."""
        return self.parametrization.rule(axes, self.embed, self.layers)

    @property
    def longest(self) -> tuple[int, Positions] | None:
        """The longest row whose positions can be told apart, and the encoding that ends there; None: any."""
        limits = [(limit, m.positions) for m in self.mixings if (limit := m.positions.limit()) is not None]
        return min(limits, key=lambda found: found[0], default=None)

    def skipped(self, sequence: int, block: int = 128) -> float:
        """Share of the blocks of attention, over all layers, that masks empty and kernels do not compute."""
        shares = [_skipped(layers.attention, sequence, block) for layers in self.blocks]
        return sum(shares) / len(shares)

    def flops_per_token(self, sequence: int, target: int = 0) -> float:
        """Model FLOPs to train on one token: 6 a matmul weight, and 6 a multiplication in attention.

        The rule of PaLM (Chowdhery 2022, appendix B), with each masked-out key left out, so that causal
        attention counts half. Embedding look-ups, norms and recomputation count nothing.
        """
        total = 6.0 * self.embed * self.vocab
        for block in self.blocks:
            matmuls = block.attention.matmul_weights(self.embed) + block.feedforward.matmul_weights(self.embed)
            seen = _density(block.attention, sequence)
            total += 6.0 * matmuls + 6.0 * seen * block.attention.features_per_key(self.embed)
        return total


@functools.lru_cache(maxsize=64)
def _skipped(mixing: Mixing, sequence: int, block: int) -> float:
    return mixing.mask.skipped(sequence, block)


@functools.lru_cache(maxsize=64)
def _density(mixing: Mixing, sequence: int) -> float:
    return mixing.mask.density(sequence)
