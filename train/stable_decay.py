"""Schedules with a stable phase that any number of decays can leave from."""

import abc
import dataclasses

import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.schedule import Schedule, checked, risen
from train.traced import Count


@dataclasses.dataclass(frozen=True)
class Decay(abc.ABC):
    """How a learning rate goes down."""

    @abc.abstractmethod
    def left(self, progress: Array) -> Array:
        """What is left of the way down, from 1 at progress 0 to 0 at progress 1."""


@dataclasses.dataclass(frozen=True)
class LinearDecay(Decay):
    """1 - progress."""

    def left(self, progress: Array) -> Array:
        """A straight line."""
        return 1 - progress


@dataclasses.dataclass(frozen=True)
class CosineDecay(Decay):
    """(1 + cos(pi progress)) / 2."""

    def left(self, progress: Array) -> Array:
        """Half a wave."""
        return 0.5 * (1 + jnp.cos(jnp.pi * progress))


@dataclasses.dataclass(frozen=True)
class RootDecay(Decay):
    """1 - sqrt(progress), which Hägele 2024 (arXiv:2405.18392) find best."""

    def left(self, progress: Array) -> Array:
        """Steep at first."""
        return 1 - jnp.sqrt(progress)


@dataclasses.dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Linear warm-up, a stable phase, and a decay at the end (MiniCPM, Hu 2024, arXiv:2404.06395).

    A run that starts at a step of another's stable phase (`train.start.Branch`) is what one run of this schedule
    would have been.

    Attributes:
      peak: the rate of the stable phase.
      warmup: steps until it is reached.
      decay: the last steps of the run, in which it goes down.
      floor: learning rate that the decay ends in, one step after the last.
      shape: how it goes down.
    """

    peak: float
    warmup: int
    decay: int
    floor: float = 0.0
    shape: Decay = RootDecay()

    def __post_init__(self) -> None:
        checked(self, warmup=self.warmup)
        if self.decay < 1:
            raise ValueError(f"WarmupStableDecay.decay is {self.decay}; it is 1 or more (Constant has no decay)")

    def over(self, steps: Count) -> optax.Schedule:
        """Stable until `steps - decay`; `steps` would be at the floor.

        Raises ValueError if warm-up and decay are longer than the run.
        """
        begin = steps - self.decay
        if begin < self.warmup:
            raise ValueError(
                f"schedule: a warm-up of {self.warmup} steps and a decay of {self.decay} do not fit in {steps} steps"
            )

        def rate(step: Array) -> Array:
            step = jnp.asarray(step, jnp.float32)
            progress = jnp.clip((step - begin) / self.decay, 0, 1)
            falling = self.floor + (self.peak - self.floor) * self.shape.left(progress)
            stable = jnp.where(step < begin, jnp.asarray(self.peak, jnp.float32), falling)
            return jnp.where(step < self.warmup, risen(step, self.peak, self.warmup), stable)

        return rate


@dataclasses.dataclass(frozen=True)
class Infinite(Schedule):
    """Warm-up, a cosine down to a constant, that constant for as long as data comes, and an exponential end.

    The infinite schedule of Ibrahim 2024 (arXiv:2403.08763): training goes on from the constant phase
    without being warmed up again.

    Attributes:
      peak: the highest learning rate.
      warmup: steps until it is reached.
      cooldown: steps from there to the constant.
      constant: the rate that is held.
      decay: the last steps of the run, in which it goes down; 0 for a run that others go on from.
      floor: learning rate that the decay ends in, one step after the last.
    """

    peak: float
    warmup: int
    cooldown: int
    constant: float
    decay: int = 0
    floor: float = 1e-8

    def __post_init__(self) -> None:
        checked(self, warmup=self.warmup, cooldown=self.cooldown, decay=self.decay)
        if not 0 < self.floor <= self.constant <= self.peak:
            raise ValueError(
                f"Infinite: floor {self.floor} is above 0 and at most constant {self.constant}, which is at most "
                f"peak {self.peak}"
            )

    def over(self, steps: Count) -> optax.Schedule:
        """Constant until `steps - decay`; `steps` would be at the floor.

        Raises ValueError if the phases are longer than the run.
        """
        begin = steps - self.decay
        if self.decay and begin < self.warmup + self.cooldown:
            raise ValueError(
                f"schedule: a warm-up of {self.warmup} steps, a cooldown of {self.cooldown} and a decay of "
                f"{self.decay} do not fit in {steps} steps"
            )

        def rate(step: Array) -> Array:
            step = jnp.asarray(step, jnp.float32)
            cooled = CosineDecay().left(jnp.clip((step - self.warmup) / max(self.cooldown, 1), 0, 1))
            result = jnp.where(
                step < self.warmup + self.cooldown,
                self.constant + (self.peak - self.constant) * cooled,
                jnp.float32(self.constant),
            )
            result = jnp.where(step < self.warmup, risen(step, self.peak, self.warmup), result)
            if not self.decay:
                return result
            ending = jnp.clip((step - begin) / self.decay, 0, 1)
            return jnp.where(step < begin, result, self.constant * (self.floor / self.constant) ** ending)

        return rate
