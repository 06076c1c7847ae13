"""Schedules for going on with a model that has been trained before."""

import dataclasses

import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.schedule import Schedule, WarmupCosine, checked
from train.traced import Count


@dataclasses.dataclass(frozen=True)
class Rewarmed(Schedule):
    """From where an earlier run ended up to a peak again, then down along a cosine.

    Re-warming and re-decaying for continual pre-training (Ibrahim 2024, arXiv:2403.08763), for a run that
    starts with the weights of another (`train.start.FromRun`, `train.start.FromPublished`).

    Attributes:
      peak: the highest learning rate.
      warmup: steps until it is reached.
      begin: learning rate that the warm-up starts from, the floor of the earlier run.
      floor: learning rate that the cosine ends in, one step after the last.
    """

    peak: float
    warmup: int
    begin: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        checked(self, warmup=self.warmup)
        if not 0 <= self.begin <= self.peak:
            raise ValueError(f"Rewarmed.begin is {self.begin}; it is between 0 and peak ({self.peak})")

    def over(self, steps: Count) -> optax.Schedule:
        """Rises as (step + 1) / (warmup + 1) of the way, so that the first step is above `begin`."""
        falling = WarmupCosine(self.peak, self.warmup, self.floor).over(steps)

        def rate(step: Array) -> Array:
            step = jnp.asarray(step, jnp.float32)
            rising = self.begin + (self.peak - self.begin) * (step + 1) / (self.warmup + 1)
            return jnp.where(step < self.warmup, rising, falling(step))

        return rate


@dataclasses.dataclass(frozen=True)
class Followed(Schedule):
    """One schedule until a step, and from there another: re-warming in a run that counts its steps on.

    For a run that goes on with the whole state of another (`train.start.Branch`).

    Attributes:
      first: the schedule of the first `at` steps, as over a run of so many.
      at: the step at which the other begins.
      then: the schedule of the rest, as over a run of its own.
    """

    first: Schedule
    at: int
    then: Schedule

    def __post_init__(self) -> None:
        if self.at < 1:
            raise ValueError(f"Followed.at is {self.at}; it is 1 or more")

    def over(self, steps: Count) -> optax.Schedule:
        """`first` over `at` steps, `then` over the others.

        Raises ValueError if the run is not longer than `at`.
        """
        if steps <= self.at:
            raise ValueError(f"schedule: the second part begins at step {self.at}, but the run has {steps} steps")
        before, after = self.first.over(self.at), self.then.over(steps - self.at)
        return lambda step: jnp.where(step < self.at, before(step), after(jnp.maximum(step - self.at, 0)))
