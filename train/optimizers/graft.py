"""How long a step of a preconditioned direction is."""

import abc
import dataclasses

import jax.numpy as jnp
from jaxtyping import Array


@dataclasses.dataclass(frozen=True)
class Graft(abc.ABC):
    """Chooses the length of each matrix's step (Agarwal 2020, arXiv:2002.11803)."""

    @abc.abstractmethod
    def step(self, direction: Array, diagonal: Array, own: tuple[int, ...]) -> Array:
        """The step, of the preconditioned direction and the diagonal method's step; `own` are a matrix's dimensions."""


@dataclasses.dataclass(frozen=True)
class DiagonalLength(Graft):
    """Each matrix's step is as long as the diagonal method's."""

    def step(self, direction: Array, diagonal: Array, own: tuple[int, ...]) -> Array:
        """The direction, scaled."""
        wanted, found = (jnp.sqrt(jnp.sum(jnp.square(x), own, keepdims=True)) for x in (diagonal, direction))
        return direction * (wanted / jnp.maximum(found, 1e-30))


@dataclasses.dataclass(frozen=True)
class OwnLength(Graft):
    """The direction is the step."""

    def step(self, direction: Array, diagonal: Array, own: tuple[int, ...]) -> Array:
        """The direction."""
        return direction
