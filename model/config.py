"""What a stack of transformer blocks is made of."""

import dataclasses
import functools

from model import attention, latent_attention, moe  # noqa: F401 - specs are found by name among those imported
from model.feedforward import FeedForward, FeedForwardPlan
from model.mixing import Mixing, MixingPlan
from model.norms import Norm, RMSNorm
from model.parameters import Sizes
from model.positions import Positions
from model.precision import Precision
from model.remat import POLICIES
from model.residual import PreNorm, Residual


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
      scale: factor on the stream; base width / width in muP (Yang 2022, table 8), embed^-1/2 in T5's tied form.
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
class TransformerConfig:
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
      init_std: standard deviation of weights at the start.
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
        for mixing in self.mixings:
            mixing.check(self.embed)

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
        deviations = self.residual.deviations(self.init_std)
        return Sizes(self.embed, self.layers, self.dropout, self.init_std, self.precision, deviations)

    @property
    def longest(self) -> tuple[int, Positions] | None:
        """The longest row whose positions can be told apart, and the encoding that ends there; None: any."""
        limits = [(limit, m.positions) for m in self.mixings if (limit := m.positions.limit()) is not None]
        return min(limits, key=lambda found: found[0], default=None)

    def skipped(self, sequence: int, block: int = 128) -> float:
        """Share of the blocks of attention, over all layers, that masks empty and kernels do not compute."""
        shares = [_skipped(layers.attention, sequence, block) for layers in self.blocks]
        return sum(shares) / len(shares)

    def flops_per_token(self, sequence: int) -> float:
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
