"""Schedules against their closed form in Python floats."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.schedule import Constant, FlatInverseSquareRoot, InverseSquareRoot, Schedule, WarmupCosine, WarmupLinear


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


PLACES = np.array([0, 1, 2, 3, 7, 50, 99, 100, 101, 1000, 9999, 10_000, 500_000])


def close(schedule: Schedule, steps: int, expected: list[float]) -> None:
    found = np.asarray(schedule.over(steps)(jnp.asarray(PLACES)))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-12)


def test_constant_is_so_for_ever() -> None:
    close(Constant(0.3), 10, [0.3] * len(PLACES))
    close(Constant(0.3, 4), 10, [0.3 * min(1.0, (s + 1) / 5) for s in PLACES])


@pytest.mark.parametrize(("steps", "warmup"), [(1000, 0), (1000, 100), (50, 60)])
def test_linear(steps: int, warmup: int) -> None:
    def by_hand(step: int) -> float:
        if step < warmup:
            return 0.2 * (step + 1) / (warmup + 1)
        return 0.2 - (0.2 - 0.05) * min(1.0, (step - warmup) / max(steps - warmup, 1))

    close(WarmupLinear(0.2, warmup, 0.05), steps, [by_hand(int(s)) for s in PLACES])


def test_inverse_square_root_is_that_of_the_papers() -> None:
    width, warmup = 512, 4000
    vaswani = [width**-0.5 * min((s + 1) ** -0.5, (s + 1) * warmup**-1.5) for s in PLACES.tolist()]
    close(InverseSquareRoot((width * warmup) ** -0.5, warmup), 1, vaswani)
    t5 = [1 / math.sqrt(max(s + 1, 10_000)) for s in PLACES.tolist()]
    close(FlatInverseSquareRoot(0.01, 10_000), 1, t5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1.0), "Constant: peak -1.0 is above 0"),
        (lambda: Constant(1.0, -2), "Constant.warmup is -2; it is 0 or more"),
        (lambda: WarmupLinear(1.0, 0, 2.0), "WarmupLinear: peak 1.0 is above 0, and floor 2.0 between"),
        (lambda: InverseSquareRoot(1.0, 0), "InverseSquareRoot.warmup is 0; it is 1 or more"),
        (lambda: FlatInverseSquareRoot(1.0, 0), "FlatInverseSquareRoot.warmup is 0"),
    ],
)
def test_other_bad_schedules(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
