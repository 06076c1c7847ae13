"""Re-warming against its closed form in Python floats."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from train.rewarming import Followed, Rewarmed
from train.schedule import Constant, WarmupCosine


def test_rewarmed_rises_from_the_old_floor_and_decays_again() -> None:
    peak, warmup, begin, floor, steps = 3e-4, 9, 3e-5, 1e-5, 100

    def by_hand(step: int) -> float:
        if step < warmup:
            return begin + (peak - begin) * (step + 1) / (warmup + 1)
        return floor + (peak - floor) * (1 + math.cos(math.pi * min(1, (step - warmup) / (steps - warmup)))) / 2

    places = np.arange(120)
    found = np.asarray(Rewarmed(peak, warmup, begin, floor).over(steps)(jnp.asarray(places)))
    np.testing.assert_allclose(found, [by_hand(int(s)) for s in places], rtol=1e-5)


def test_followed_is_two_schedules_end_to_end() -> None:
    first, then = WarmupCosine(1.0, 3, 0.1), Rewarmed(0.5, 4, 0.1)
    found = Followed(first, 20, then).over(50)(jnp.arange(60))
    assert (found[:20] == first.over(20)(jnp.arange(20))).all()
    assert (found[20:] == then.over(30)(jnp.arange(40))).all()


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="begin is 2.0; it is between 0 and peak"):
        Rewarmed(1.0, 1, 2.0)
    with pytest.raises(ValueError, match="at is 0; it is 1 or more"):
        Followed(Constant(1.0), 0, Constant(1.0))
    with pytest.raises(ValueError, match="begins at step 20, but the run has 20 steps"):
        Followed(Constant(1.0), 20, Constant(1.0)).over(20)
