"""Sweeps, put together and drawn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from experiments.ablation.sweep import LogUniform, Uniform, chain, named, product, random, sobol, values, zipped


def test_combinators_by_hand() -> None:
    a, b = values("a", 1, 2), values("b", 3, 4)
    assert a == ({"a": 1}, {"a": 2})
    assert product(a, b) == ({"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4})
    assert zipped(a, b) == ({"a": 1, "b": 3}, {"a": 2, "b": 4})
    assert chain(a, values("a", 2, 5)) == ({"a": 1}, {"a": 2}, {"a": 5})
    assert product() == ({},) and named(product(a, b)[1]) == "a=1, b=4" and named({}) == "as it is"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_product_has_the_product_of_the_sizes(sizes: list[int]) -> None:
    found = product(*(values(f"k{i}", *range(size)) for i, size in enumerate(sizes)))
    assert len(found) == math.prod(sizes) == len({tuple(setting.items()) for setting in found})


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: product(values("a", 1), values("a", 2)), "both set a"),
        (lambda: zipped(values("a", 1, 2), values("b", 1)), "2, 1 settings are zipped"),
        (lambda: Uniform("a", 2, 1), "low is below"),
        (lambda: LogUniform("a", 0, 1), "it is above 0"),
        (lambda: random(0, Uniform("a", 0, 1)), "at least 1"),
    ],
)
def test_sweeps_that_cannot_be(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@given(st.floats(0, 1))
def test_ranges_end_where_they_say(share: float) -> None:
    assert 1e-4 <= LogUniform("a", 1e-4, 1e-2).at(share) <= 1e-2 and 2 <= Uniform("a", 2, 5).at(share) <= 5
    assert LogUniform("a", 1e-4, 1e-2).at(0.5) == 1e-3 and Uniform("a", 2, 5).at(0.5) == 3.5


def test_drawn_sweeps_are_the_same_each_time_and_evenly_spread() -> None:
    ranges = (Uniform("a", 0, 1), LogUniform("b", 1, 10))
    assert random(5, *ranges) == random(5, *ranges) != random(5, *ranges, seed=1)
    assert sobol(6, *ranges) == sobol(8, *ranges)[:6]
    unit = [Uniform(name, 0, 1) for name in "xy"]
    spread = [qmc.discrepancy(np.array([list(s.values()) for s in draw(64, *unit)])) for draw in (sobol, random)]
    assert spread[0] < spread[1] / 4
    # Of 2^k points each half of each axis has a half.
    assert sum(s["x"] < 0.5 for s in sobol(16, *unit)) == 8
