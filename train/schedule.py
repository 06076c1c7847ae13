"""Learning-rate schedules."""

import abc
import dataclasses

import jax.numpy as jnp
import optax
from jaxtyping import Array

from train.traced import Count, Rate


@dataclasses.dataclass(frozen=True)
class Schedule(abc.ABC):
    """Learning rate as a function of the step."""

    @abc.abstractmethod
    def over(self, steps: Count) -> optax.Schedule:
        """The schedule of a run of `steps` steps: step (from 0) -> learning rate."""


def risen(step: Array, peak: Rate, warmup: Count) -> Array:
    """A linear warm-up: (step + 1) / (warmup + 1) of the peak, so that the first step already learns."""
    return peak * (step + 1) / (warmup + 1)


def checked(schedule: Schedule, **counts: int) -> None:
    """Raises ValueError unless the peak is above 0, a floor at most that, and the counts of steps 0 or more."""
    kind, peak, floor = type(schedule).__name__, schedule.peak, getattr(schedule, "floor", 0.0)
    if peak <= 0 or not 0 <= floor <= peak:
        raise ValueError(f"{kind}: peak {peak} is above 0, and floor {floor} between 0 and peak")
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{kind}.{name} is {count}; it is 0 or more")


@dataclasses.dataclass(frozen=True)
class Constant(Schedule):
    """Linear warm-up, then the same rate for ever: the trunk that decay branches leave from.

    Attributes:
      peak: the rate.
      warmup: steps until it is reached.
    """

    peak: float
    warmup: int = 0

    def __post_init__(self) -> None:
        checked(self, warmup=self.warmup)

    def over(self, steps: Count) -> optax.Schedule:
        """The same for any number of steps."""

        def rate(step: Array) -> Array:
            step = jnp.asarray(step, jnp.float32)
            reached = jnp.asarray(self.peak, jnp.float32)
            return jnp.where(step < self.warmup, risen(step, self.peak, self.warmup), reached)

        return rate


@dataclasses.dataclass(frozen=True)
class Falling(Schedule):
    """Linear warm-up, then a fall to a floor.

    Attributes:
      peak: the highest learning rate.
      warmup: steps until it is reached.
      floor: learning rate that the fall ends in, one step after the last.
    """

    peak: float
    warmup: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        checked(self, warmup=self.warmup)

    @abc.abstractmethod
    def left(self, progress: Array) -> Array:
        """What is left of the way to the floor, from 1 at progress 0 to 0 at progress 1."""

    def over(self, steps: Count) -> optax.Schedule:
        """Rises as (step + 1) / (warmup + 1), so that the first step already learns; `steps` would be at the floor."""

        def rate(step: Array) -> Array:
            step = jnp.asarray(step, jnp.float32)
            progress = jnp.clip((step - self.warmup) / jnp.maximum(steps - self.warmup, 1), 0, 1)
            falling = self.floor + (self.peak - self.floor) * self.left(progress)
            return jnp.where(step < self.warmup, risen(step, self.peak, self.warmup), falling)

        return rate


@dataclasses.dataclass(frozen=True)
class WarmupLinear(Falling):
    """A straight line down (BERT, Devlin 2018, appendix A.2)."""

    def left(self, progress: Array) -> Array:
        """1 - progress."""
        return 1 - progress


@dataclasses.dataclass(frozen=True)
class WarmupCosine(Falling):
    """Half a cosine down (GPT-3; Loshchilov 2016)."""

    def left(self, progress: Array) -> Array:
        """(1 + cos(pi progress)) / 2."""
        return 0.5 * (1 + jnp.cos(jnp.pi * progress))


@dataclasses.dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """Linear warm-up, then 1 / sqrt(step), without end (Vaswani 2017, equation 3).

    With step n counted from 1, the rate is peak min(n / warmup, sqrt(warmup / n)); the paper's peak is
    1 / sqrt(width warmup), with a warm-up of 4000.

    Attributes:
      peak: the highest learning rate.
      warmup: the step, counted from 1, that has it.
    """

    peak: float
    warmup: int

    def __post_init__(self) -> None:
        checked(self)
        if self.warmup < 1:
            raise ValueError(f"{type(self).__name__}.warmup is {self.warmup}; it is 1 or more")

    def over(self, steps: Count) -> optax.Schedule:
        """The same for any number of steps."""

        def rate(step: Array) -> Array:
            number = jnp.asarray(step, jnp.float32) + 1
            return self.peak * self._begun(number) * jnp.sqrt(self.warmup / jnp.maximum(number, self.warmup))

        return rate

    def _begun(self, number: Array) -> Array:
        return jnp.minimum(number / self.warmup, 1)


@dataclasses.dataclass(frozen=True)
class FlatInverseSquareRoot(InverseSquareRoot):
    """As `InverseSquareRoot`, but at the peak from the first step on (T5, Raffel 2020, section 3.1.2).

    The paper's 1 / sqrt(max(n, k)) with k = 10^4 is `FlatInverseSquareRoot(peak=0.01, warmup=10_000)`.
    """

    def _begun(self, number: Array) -> Array:
        return jnp.ones_like(number)
