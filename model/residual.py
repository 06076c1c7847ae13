"""How the layers of a block join the residual stream."""

import abc
import dataclasses
from collections.abc import Callable, Sequence

from flax import nnx
from jaxtyping import Array, Float

from model.norms import Norm
from model.parameters import Sizes

Stream = Float[Array, "batch seq embed"]
Layer = Callable[[Stream], Stream]
# What is added to the stream, before it is: the branch's number in its block, and what the branch gave.
Branch = Callable[[int, Stream], Stream]


def whole(branch: int, y: Stream) -> Stream:
    """A branch as it is."""
    return y


@dataclasses.dataclass(frozen=True)
class Residual(abc.ABC):
    """The order of normalisation, layer and addition, for all layers of a block."""

    @property
    @abc.abstractmethod
    def final_norm(self) -> bool:
        """Whether the stream has to be normalised once more after the last block."""

    @abc.abstractmethod
    def norms(self, layers: int) -> tuple[str, ...]:
        """Names of the normalisations in a block of so many layers."""

    @property
    def additive(self) -> bool:
        """Whether layers only ever add to the stream, which nothing normalises before the end."""
        return self.final_norm

    @property
    def noisy(self) -> bool:
        """Whether training drops branches at random."""
        return False

    @abc.abstractmethod
    def join(self, x: Stream, layers: Sequence[Layer], norms: "Norms", branch: Branch = whole) -> Stream:
        """The stream after a block's layers. What each of them adds goes through `branch` first."""

    def spreads(self) -> tuple[float, float] | None:
        """Factors on the initial deviations of inner weights and of those that add to the stream; None: see `Sizes`."""
        return None

    def thinned(self, y: Stream, depth: Float[Array, ""], key: Array) -> Stream:
        """A branch as training adds it; `depth` is the block's number, from 1, over the number of blocks."""
        return y


class Norms(nnx.Module):
    """The normalisations of one block, by name."""

    def __init__(self, names: Sequence[str], norm: Norm, sizes: Sizes, rngs: nnx.Rngs) -> None:
        for name in names:
            setattr(self, name, norm.build(sizes, rngs))

    def __getitem__(self, name: str) -> Layer:
        return getattr(self, name)


def _names(prefix: str, layers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{i}" for i in range(layers))


@dataclasses.dataclass(frozen=True)
class PreNorm(Residual):
    """x + scale * layer(norm(x)), normalised once more at the end (Xiong 2020).

    Attributes:
      scale: factor on what a layer adds.
    """

    scale: float = 1.0

    @property
    def final_norm(self) -> bool:
        """The stream grows with depth, so yes."""
        return True

    def norms(self, layers: int) -> tuple[str, ...]:
        """One before each layer."""
        return _names("before", layers)

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """Layer after layer."""
        for i, layer in enumerate(layers):
            y = layer(norms[f"before{i}"](x))
            x = x + branch(i, y if self.scale == 1 else self.scale * y)
        return x


@dataclasses.dataclass(frozen=True)
class PostNorm(Residual):
    """norm(scale * x + layer(x)) (Vaswani 2017, section 3.1).

    Attributes:
      scale: factor on the stream.
    """

    scale: float = 1.0

    @property
    def final_norm(self) -> bool:
        """Each layer's output is normalised, so no."""
        return False

    def norms(self, layers: int) -> tuple[str, ...]:
        """One after each addition."""
        return _names("after", layers)

    def spreads(self) -> tuple[float, float] | None:
        """None of its own: what is added is normalised, so depth does not matter."""
        return 1.0, 1.0

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """Layer after layer."""
        for i, layer in enumerate(layers):
            x = norms[f"after{i}"]((x if self.scale == 1 else self.scale * x) + branch(i, layer(x)))
        return x


@dataclasses.dataclass(frozen=True)
class DeepNorm(Residual):
    """norm((2 N)^(1/4) x + layer(x)), with initial weights times (8 N)^(-1/4) (Wang 2022, figure 2).

    Attributes:
      layers: N, the number of blocks of this decoder or encoder.
    """

    layers: int

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"DeepNorm.layers is {self.layers}; it is at least 1")

    @property
    def final_norm(self) -> bool:
        """Each layer's output is normalised, so no."""
        return False

    def norms(self, layers: int) -> tuple[str, ...]:
        """One after each addition."""
        return _names("after", layers)

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """Layer after layer."""
        return PostNorm((2 * self.layers) ** 0.25).join(x, layers, norms, branch)

    def spreads(self) -> tuple[float, float] | None:
        """Both (8 N)^(-1/4)."""
        return ((8 * self.layers) ** -0.25,) * 2


@dataclasses.dataclass(frozen=True)
class OutputNorm(Residual):
    """x + norm(layer(x)), normalised once more at the end (OLMo 2, section 3.2)."""

    @property
    def final_norm(self) -> bool:
        """The stream itself is not normalised, so yes."""
        return True

    def norms(self, layers: int) -> tuple[str, ...]:
        """One after each layer."""
        return _names("after", layers)

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """Layer after layer."""
        for i, layer in enumerate(layers):
            x = x + branch(i, norms[f"after{i}"](layer(x)))
        return x


@dataclasses.dataclass(frozen=True)
class SandwichNorm(Residual):
    """x + norm(layer(norm(x))), normalised once more at the end (CogView, Ding 2021; Gemma 2)."""

    @property
    def final_norm(self) -> bool:
        """The stream itself is not normalised, so yes."""
        return True

    def norms(self, layers: int) -> tuple[str, ...]:
        """One on each side of each layer."""
        return _names("before", layers) + _names("after", layers)

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """Layer after layer."""
        for i, layer in enumerate(layers):
            x = x + branch(i, norms[f"after{i}"](layer(norms[f"before{i}"](x))))
        return x


@dataclasses.dataclass(frozen=True)
class Parallel(Residual):
    """x + sum of layer(norm(x)) over the layers of a block (GPT-J; PaLM, Chowdhery 2022, section 2).

    Attributes:
      shared: one normalisation for all layers (GPT-J, PaLM), or one each (GPT-NeoX).
    """

    shared: bool = True

    @property
    def final_norm(self) -> bool:
        """The stream grows with depth, so yes."""
        return True

    def norms(self, layers: int) -> tuple[str, ...]:
        """One, or one for each layer."""
        return _names("before", 1 if self.shared else layers)

    def join(self, x: Stream, layers: Sequence[Layer], norms: Norms, branch: Branch = whole) -> Stream:
        """All layers at once."""
        if self.shared:
            y = norms["before0"](x)
            return x + sum(branch(i, layer(y)) for i, layer in enumerate(layers))
        return x + sum(branch(i, layer(norms[f"before{i}"](x))) for i, layer in enumerate(layers))
