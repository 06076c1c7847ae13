"""Tests on few seeds against scipy, enumeration by hand, and closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.ablation.significance import SignFlip, StudentT, bootstrap, holm, page, page_null, page_terms

DIFFERENCES = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=1, max_size=8)


@given(DIFFERENCES)
def test_sign_flips_are_counted_one_by_one(values: list[float]) -> None:
    patterns = list(itertools.product((1, -1), repeat=len(values)))
    total = math.fsum(values)
    as_large = sum(math.fsum(s * v for s, v in zip(signs, values, strict=True)) >= total - 1e-9 for signs in patterns)
    assert SignFlip().p(values) == as_large / len(patterns)


def test_sign_flip_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(0.5, 1.0, 9)
    found = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", alternative="greater", n_resamples=2**9
    )
    assert SignFlip().p(values) == pytest.approx(found.pvalue, abs=1e-12)
    assert SignFlip().p(values, 0.3) == pytest.approx(SignFlip().p(values - 0.3), abs=0)


def test_many_signs_are_drawn() -> None:
    values = np.random.default_rng(2).normal(0.4, 1.0, 40)
    assert SignFlip().p(values) == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue, abs=0.01)


def test_five_seeds_reach_one_in_thirty_two() -> None:
    assert SignFlip().p([1, 2, 3, 4, 5]) == 1 / 32 and SignFlip().p([1, 2, 3]) == 0.125
    assert SignFlip().fewest(0.05) == 5 and SignFlip().fewest(1 / 32) == 5 and SignFlip().fewest(0.03) == 6


@given(DIFFERENCES)
def test_a_claim_and_its_opposite_are_not_both_significant(values: list[float]) -> None:
    # The pattern that was found counts on both sides.
    assert SignFlip().p(values) + SignFlip().p([-v for v in values]) >= 1.0
    assert SignFlip().p(values) >= 2.0 ** -len(values)


def test_t_agrees_with_scipy_and_with_the_closed_form_of_two() -> None:
    values = np.random.default_rng(3).normal(0.2, 1.0, 7)
    expected = stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    assert StudentT().p(values, 0.1) == pytest.approx(expected, rel=1e-12)
    # With one degree of freedom t is Cauchy: t = mean / (spread / 2) = 2.
    assert StudentT().p([1.0, 3.0]) == pytest.approx(0.5 - math.atan(2.0) / math.pi)
    assert StudentT().p([1.0]) == 1.0 and StudentT().p([2.0, 2.0]) == 0.0 and StudentT().p([0.0, 0.0]) == 1.0


@pytest.mark.parametrize("seeds, arms", [(2, 3), (3, 3), (5, 4), (2, 6), (8, 3)])
def test_page_agrees_with_scipy(seeds: int, arms: int) -> None:
    costs = np.random.default_rng(seeds * arms).normal(size=(seeds, arms)) + 0.3 * np.arange(arms)
    assert page(costs) == pytest.approx(stats.page_trend_test(costs, method="exact").pvalue, rel=1e-9)


def test_page_by_hand() -> None:
    ordered = np.array([[1.0, 2.0, 3.0]] * 2)
    # One of 3! orders has the highest L, in each of two seeds.
    assert page(ordered) == pytest.approx(1 / 36) and page(ordered[:, ::-1]) == pytest.approx(1.0)
    assert list(page_terms(ordered)) == [14.0, 14.0]
    orders = np.array(list(itertools.permutations(range(4))), np.float64)
    terms = page_terms(orders)
    assert page_null(4) == pytest.approx((terms.mean(), terms.var()))


def test_page_of_many_arms_is_normal() -> None:
    costs = np.random.default_rng(5).normal(size=(6, 9)) + 0.2 * np.arange(9)
    assert page(costs) == pytest.approx(stats.page_trend_test(costs, method="asymptotic").pvalue, rel=1e-6)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.4]) == [0.4]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_raises_p_by_no_more_than_bonferroni_and_keeps_order(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(p <= a <= min(len(ps) * p, 1.0) + 1e-12 for p, a in zip(ps, adjusted, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(ps)) for j in range(len(ps)) if ps[i] <= ps[j])


def test_bootstrap_of_two_is_the_range() -> None:
    # t of one degree of freedom is so wide that the interval is from the lowest resample to the highest.
    assert bootstrap([1.0, 3.0]) == pytest.approx((1.0, 3.0))
    assert all(math.isnan(end) for end in bootstrap([1.0]))


@pytest.mark.parametrize("n", [5, 12])
def test_bootstrap_covers(n: int) -> None:
    draw = np.random.default_rng(n)
    hits = 0
    for _ in range(200):
        low, high = bootstrap(draw.normal(size=n))
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99
