"""Learning-rate schedules."""

import abc
import dataclasses

import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Schedule(abc.ABC):
    """Learning rate as a function of the step."""

    @abc.abstractmethod
    def over(self, steps: int) -> optax.Schedule:
        """The schedule of a run of `steps` steps: step (from 0) -> learning rate."""


@dataclasses.dataclass(frozen=True)
class WarmupCosine(Schedule):
    """Linear warm-up, then a cosine down to a floor (GPT-3; Loshchilov 2016).

    Attributes:
      peak: the highest learning rate.
      warmup: steps until it is reached.
      floor: learning rate that the cosine ends in, one step after the last.
    """

    peak: float
    warmup: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.peak <= 0 or not 0 <= self.floor <= self.peak:
            raise ValueError(f"WarmupCosine: peak {self.peak} is above 0, and floor {self.floor} between 0 and peak")
        if self.warmup < 0:
            raise ValueError(f"WarmupCosine.warmup is {self.warmup}; it is 0 or more")

    def over(self, steps: int) -> optax.Schedule:
        """Rises as (step + 1) / (warmup + 1), so that the first step already learns; `steps` would be at the floor."""

        def rate(step: jnp.ndarray) -> jnp.ndarray:
            step = jnp.asarray(step, jnp.float32)
            rising = self.peak * (step + 1) / (self.warmup + 1)
            progress = jnp.clip((step - self.warmup) / max(steps - self.warmup, 1), 0, 1)
            falling = self.floor + 0.5 * (self.peak - self.floor) * (1 + jnp.cos(jnp.pi * progress))
            return jnp.where(step < self.warmup, rising, falling)

        return rate
