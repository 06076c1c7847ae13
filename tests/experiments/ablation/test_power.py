"""Numbers of seeds against published tables and against simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.ablation import power
from experiments.ablation.significance import SignFlip, StudentT, page, page_terms
from experiments.ablation.verdict import MOST_SEEDS


def pair(mean: float, sd: float) -> list[float]:
    """Two values with this mean and deviation."""
    return [mean - sd / math.sqrt(2), mean + sd / math.sqrt(2)]


@pytest.mark.parametrize("effect, seeds", [(0.2, 156), (0.5, 27), (0.8, 12), (1.0, 8)])
def test_one_sided_t_tests_need_what_tables_say(effect: float, seeds: int) -> None:
    # Cohen 1988, table 2.4.1, for d sqrt(2) of one sample; one-sided 0.05, power 0.8.
    assert power.for_difference(pair(effect, 1.0), StudentT(), 0.05) == seeds


def test_an_exact_test_needs_at_least_what_it_can_decide_with() -> None:
    assert power.for_difference(pair(100.0, 1.0), SignFlip(), 0.05) == 5
    assert power.for_difference([], SignFlip(), 0.05) == power.for_difference([3.0], SignFlip(), 0.05) == 5
    assert power.for_difference([1.0, 1.0], SignFlip(), 0.05) == 5
    assert power.for_equivalence([0.0, 0.0], SignFlip(), 0.05, 0.1) == 5


@pytest.mark.parametrize("mean", [0.0, -1.0])
def test_no_number_shows_what_is_not_there(mean: float) -> None:
    assert power.for_difference(pair(mean, 1.0), StudentT(), 0.05) == MOST_SEEDS
    assert power.for_equivalence(pair(2.0, 1.0), StudentT(), 0.05, 1.5) == MOST_SEEDS


def test_equivalence_has_its_power() -> None:
    margin, sd = 0.8, 1.0
    n = power.for_equivalence(pair(0.0, sd), StudentT(), 0.05, margin)
    values = np.random.default_rng(0).normal(0.0, sd, (4000, n))
    t = stats.t.isf(0.05, n - 1) * values.std(1, ddof=1) / math.sqrt(n)
    chance = np.mean((values.mean(1) + t < margin) & (values.mean(1) - t > -margin))
    assert 0.78 <= chance <= 0.86


def test_a_trend_has_its_power() -> None:
    draw = np.random.default_rng(1)
    many = draw.normal(size=(3000, 4)) + 0.4 * np.arange(4)
    n = power.for_trend(page_terms(many), 4, 0.05)
    found = [page(draw.normal(size=(n, 4)) + 0.4 * np.arange(4)) <= 0.05 for _ in range(400)]
    assert 0.7 <= np.mean(found) <= 0.9
