"""Checks of an optimizer's fields when it is built."""

import math
from typing import Any


def fractions(spec: Any, *names: str) -> None:
    """Raises ValueError unless these fields are at least 0 and below 1, as decays of averages are."""
    for name, value in _values(spec, names):
        if not 0 <= value < 1:
            raise ValueError(f"{type(spec).__name__}.{name} is {value}; it is at least 0 and below 1")


def positive(spec: Any, *names: str) -> None:
    """Raises ValueError unless these fields are finite and above 0."""
    for name, value in _values(spec, names):
        if not 0 < value < math.inf:
            raise ValueError(f"{type(spec).__name__}.{name} is {value}; it is above 0")


def not_negative(spec: Any, *names: str) -> None:
    """Raises ValueError unless these fields are finite and 0 or more."""
    for name, value in _values(spec, names):
        if not 0 <= value < math.inf:
            raise ValueError(f"{type(spec).__name__}.{name} is {value}; it is 0 or more")


def _values(spec: Any, names: tuple[str, ...]) -> list[tuple[str, int | float]]:
    return [(name, getattr(spec, name)) for name in names]
