"""Warm-up, stable phase and decay against their closed form in Python floats."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.stable_decay import CosineDecay, Decay, Infinite, LinearDecay, RootDecay, WarmupStableDecay

SHAPES: dict[Decay, Callable[[float], float]] = {
    LinearDecay(): lambda x: 1 - x,
    CosineDecay(): lambda x: (1 + math.cos(math.pi * x)) / 2,
    RootDecay(): lambda x: 1 - math.sqrt(x),
}


@given(
    warmup=st.integers(0, 50), stable=st.integers(0, 50), decay=st.integers(1, 50),
    floor=st.floats(0, 1), shape=st.sampled_from(list(SHAPES)),
)  # fmt: skip
def test_the_closed_form(warmup: int, stable: int, decay: int, floor: float, shape: Decay) -> None:
    steps = warmup + stable + decay

    def by_hand(step: int) -> float:
        if step < warmup:
            return 2.0 * (step + 1) / (warmup + 1)
        if step < steps - decay:
            return 2.0
        left = SHAPES[shape](min(1.0, (step - (steps - decay)) / decay))
        return floor + (2.0 - floor) * left

    places = np.linspace(0, steps + 10, 15).astype(int)
    found = np.asarray(WarmupStableDecay(2.0, warmup, decay, floor, shape).over(steps)(jnp.asarray(places)))
    np.testing.assert_allclose(found, [by_hand(int(s)) for s in places], rtol=1e-5, atol=1e-6)


def test_before_the_decay_the_length_of_the_run_makes_no_difference() -> None:
    spec = WarmupStableDecay(1e-3, 10, 20)
    steps = jnp.arange(80)
    assert (spec.over(100)(steps) == spec.over(1000)(steps)).all()
    assert spec.over(100)(jnp.array(99)) == pytest.approx(1e-3 * (1 - math.sqrt(19 / 20)), rel=1e-5)


def test_infinite() -> None:
    rate = Infinite(peak=1.0, warmup=4, cooldown=10, constant=0.2, decay=10, floor=0.002).over(50)
    expected = {
        0: 0.2, 3: 0.8, 4: 1.0, 9: 0.6, 14: 0.2, 40: 0.2, 45: 0.2 * math.sqrt(0.01), 50: 0.002, 60: 0.002,
    }  # fmt: skip
    assert rate(jnp.array(list(expected))).tolist() == pytest.approx(list(expected.values()))
    held = Infinite(peak=1.0, warmup=4, cooldown=10, constant=0.2).over(1)
    assert held(jnp.array([3, 4, 14, 10**6])).tolist() == pytest.approx([0.8, 1.0, 0.2, 0.2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WarmupStableDecay(1.0, 1, 0), r"decay is 0; it is 1 or more \(Constant has no decay\)"),
        (lambda: WarmupStableDecay(1.0, 1, 1, 2.0), "floor 2.0 between 0 and peak"),
        (lambda: WarmupStableDecay(1.0, 6, 5).over(10), "a warm-up of 6 steps and a decay of 5 do not fit in 10 steps"),
        (lambda: Infinite(1.0, 1, 1, 2.0), "constant 2.0, which is at most peak 1.0"),
        (lambda: Infinite(1.0, 1, 1, 0.5, floor=0.0), "floor 0.0 is above 0"),
        (lambda: Infinite(1.0, 4, 4, 0.5, 4).over(10), "a cooldown of 4 and a decay of 4 do not fit in 10 steps"),
    ],
)
def test_bad_schedules(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
