"""Schedules against their closed form in Python floats."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.schedule import WarmupCosine


def by_hand(step: int, steps: int, peak: float, warmup: int, floor: float) -> float:
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(steps - warmup, 1))
    return floor + (peak - floor) * (1 + math.cos(math.pi * done)) / 2


@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 300),
    peak=st.floats(1e-6, 10),
    share=st.floats(0, 1),
)
def test_the_closed_form(steps: int, warmup: int, peak: float, share: float) -> None:
    spec = WarmupCosine(peak, warmup, peak * share)
    places = np.linspace(0, 2 * steps, 12).astype(int)  # one shape, so that it compiles once
    found = np.asarray(spec.over(steps)(jnp.asarray(places)))
    expected = [by_hand(int(step), steps, peak, warmup, peak * share) for step in places]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=peak * 1e-6)


def test_landmarks() -> None:
    rate = WarmupCosine(peak=1.0, warmup=4, floor=0.1).over(24)
    found = rate(jnp.array([0, 1, 2, 3, 4, 14, 24, 1000])).tolist()
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.55, 0.1, 0.1])
    assert WarmupCosine(peak=1.0, warmup=0).over(10)(jnp.zeros((), int)).item() == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1), "peak 0.0 is above 0"),
        ((1.0, 1, 2.0), "floor 2.0 between 0 and peak"),
        ((1.0, 1, -0.1), "floor -0.1"),
        ((1.0, -1), "WarmupCosine.warmup is -1; it is 0 or more"),
    ],
)
def test_bad_schedules(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WarmupCosine(*arguments)
