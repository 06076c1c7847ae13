"""Sweeps: sets of settings to try, put together from smaller ones.

A setting is new values by dotted key, `{"schedule.peak": 3e-3}`; a sweep is a tuple of settings:

    product(values("schedule.peak", 1e-3, 3e-3), values("optimizer.decay", 0.0, 0.1))    four settings
    sobol(8, LogUniform("schedule.peak", 1e-4, 1e-2), Uniform("model.dropout", 0, 0.3))   eight, evenly spread
"""

import abc
import dataclasses
import itertools
import math
import random as randomness
from collections.abc import Mapping
from typing import Any

Setting = Mapping[str, Any]
Sweep = tuple[Setting, ...]


def values(key: str, *given: Any) -> Sweep:
    """One setting for each value of a key."""
    return tuple({key: value} for value in given)


def product(*sweeps: Sweep) -> Sweep:
    """Every setting of each with every one of the others; the last varies fastest.

    Raises ValueError if two of them set the same key.
    """
    return tuple(_joined(parts) for parts in itertools.product(*sweeps))


def zipped(*sweeps: Sweep) -> Sweep:
    """The first of each together, the second of each, and so on.

    Raises ValueError if they are not equally long or two set the same key.
    """
    if len({len(sweep) for sweep in sweeps}) > 1:
        raise ValueError(f"sweeps of {', '.join(str(len(s)) for s in sweeps)} settings are zipped; they need as many")
    return tuple(_joined(parts) for parts in zip(*sweeps, strict=True))


def chain(*sweeps: Sweep) -> Sweep:
    """The settings of the first, then those of the second, and so on; one that comes again is left out."""
    found: list[Setting] = []
    for setting in itertools.chain(*sweeps):
        if setting not in found:
            found.append(setting)
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class Range(abc.ABC):
    """An interval of a key to draw from.

    Attributes:
      key: what is drawn.
      low: the lowest value.
      high: the highest value.
    """

    key: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"{type(self).__name__} of {self.key} goes from {self.low} to {self.high}; low is below")

    @abc.abstractmethod
    def at(self, share: float) -> float:
        """The value at a share of the way, 0 to 1, to four significant digits."""


@dataclasses.dataclass(frozen=True)
class Uniform(Range):
    """Evenly between two numbers."""

    def at(self, share: float) -> float:
        """low + share (high - low)."""
        return _short(self.low + share * (self.high - self.low))


@dataclasses.dataclass(frozen=True)
class LogUniform(Range):
    """Evenly between the logarithms of two numbers above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise ValueError(f"LogUniform of {self.key} begins at {self.low}; it is above 0")

    def at(self, share: float) -> float:
        """low (high / low)^share."""
        return _short(self.low * math.exp(share * math.log(self.high / self.low)))


def random(count: int, *ranges: Range, seed: int = 0) -> Sweep:
    """Settings drawn independently (Bergstra and Bengio 2012)."""
    draw = randomness.Random(seed)
    return tuple({each.key: each.at(draw.random()) for each in ranges} for _ in range(_positive(count)))


def sobol(count: int, *ranges: Range, seed: int = 0) -> Sweep:
    """The first points of a scrambled Sobol sequence: more evenly spread than random ones (Owen 1998)."""
    from scipy.stats import qmc

    # Whole powers of 2 are what is balanced; fewer are the beginning of them.
    power = max(_positive(count) - 1, 0).bit_length()
    points = qmc.Sobol(len(ranges), scramble=True, rng=seed).random_base2(power)[:count]
    return tuple({each.key: each.at(float(share)) for each, share in zip(ranges, point)} for point in points)


def named(setting: Setting) -> str:
    """A setting for people: `schedule.peak=0.003`; `as it is` for none."""
    return ", ".join(f"{key}={value!r}" for key, value in setting.items()) or "as it is"


def _joined(parts: tuple[Setting, ...]) -> Setting:
    keys = [key for part in parts for key in part]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"two sweeps that are joined both set {twice[0]}; let one do it")
    return {key: value for part in parts for key, value in part.items()}


def _positive(count: int) -> int:
    if count < 1:
        raise ValueError(f"a sweep of {count} settings is drawn; it is at least 1")
    return count


def _short(value: float) -> float:
    return float(f"{value:.4g}")
