"""Normalisation of queries and keys before their products (Henry 2020)."""

import abc
import dataclasses

from flax import nnx
from jaxtyping import Array, Float

from model.norms import Norm, RMSNorm
from model.parameters import Sizes
from sharding.axes import HEAD_DIM

Heads = Float[Array, "batch seq heads head_dim"]


@dataclasses.dataclass(frozen=True)
class QueryKeyNorm(abc.ABC):
    """What is normalised together."""

    @abc.abstractmethod
    def build(self, heads: int, axis: str, features: int, sizes: Sizes) -> nnx.Module:
        """A module for [batch, seq, heads, features], whose heads have this logical axis."""

    @abc.abstractmethod
    def weight_count(self, heads: int, features: int) -> int:
        """Number of weights for so many heads."""


@dataclasses.dataclass(frozen=True)
class PerHead(QueryKeyNorm):
    """Each head by itself, with weights that all heads share (Qwen3, Gemma 3).

    Attributes:
      norm: the formula.
    """

    norm: Norm = RMSNorm()

    def build(self, heads: int, axis: str, features: int, sizes: Sizes) -> nnx.Module:
        """Weights [features]."""
        return self.norm.over((features,), (HEAD_DIM,), sizes)

    def weight_count(self, heads: int, features: int) -> int:
        """Those of one head."""
        return self.norm.weight_count(features)


@dataclasses.dataclass(frozen=True)
class AcrossHeads(QueryKeyNorm):
    """All heads of a token together (OLMo 2).

    Attributes:
      norm: the formula.
    """

    norm: Norm = RMSNorm()

    def build(self, heads: int, axis: str, features: int, sizes: Sizes) -> nnx.Module:
        """Weights [heads, features]."""
        return _Flattened(self.norm.over((heads, features), (axis, HEAD_DIM), sizes))

    def weight_count(self, heads: int, features: int) -> int:
        """Those of all heads."""
        return self.norm.weight_count(heads * features)


class _Flattened(nnx.Module):
    def __init__(self, norm: nnx.Module) -> None:
        self.norm = norm

    def __call__(self, x: Heads) -> Heads:
        return self.norm(x.reshape(*x.shape[:2], -1)).reshape(x.shape)
