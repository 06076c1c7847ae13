"""Power analysis: how many seeds it takes to see an effect as large as the one that seems to be there."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from experiments.ablation.significance import PairedTest, page_null
from experiments.ablation.verdict import MOST_SEEDS

POWER = 0.8


def for_difference(values: Sequence[float], test: PairedTest, alpha: float, above: float = 0.0) -> int:
    """Seeds with which a mean above `above` would be found with a chance of 0.8; at most `MOST_SEEDS`.

    By the noncentral t with the mean and deviation of `values`, and no fewer than the test can decide with. Of fewer
    than two values only the latter is known.
    """
    if len(values) < 2:
        return test.fewest(alpha)
    mean, sd = _moments(values)
    return _least(lambda n: _tail(mean - above, sd, n, alpha), test.fewest(alpha))


def for_equivalence(values: Sequence[float], test: PairedTest, alpha: float, margin: float) -> int:
    """Seeds with which both one-sided tests would find the mean within the margin with a chance of 0.8.

    The chance of both is taken as at least the sum of each less 1 (Bonferroni), which asks for some too many.
    """
    if len(values) < 2:
        return test.fewest(alpha)
    mean, sd = _moments(values)
    both = lambda n: _tail(margin - mean, sd, n, alpha) + _tail(margin + mean, sd, n, alpha) - 1  # noqa: E731
    return _least(both, test.fewest(alpha))


def for_trend(terms: Sequence[float], arms: int, alpha: float) -> int:
    """Seeds with which Page's L would find a trend, given what each seed so far adds to L; by the normal law."""
    # One seed in the best order has the chance 1 / arms!.
    fewest = math.ceil(-math.log(alpha) / math.lgamma(arms + 1))
    if len(terms) < 2:
        return fewest
    mean, sd = _moments(terms)
    null_mean, null_variance = page_null(arms)
    critical, sd0 = stats.norm.isf(alpha), math.sqrt(null_variance)

    def chance(n: int) -> float:
        room = (mean - null_mean) * math.sqrt(n) - critical * sd0
        return float(stats.norm.cdf(room / sd)) if sd > 0 else float(room > 0)

    return _least(chance, fewest)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    data = np.asarray(values, np.float64)
    return float(data.mean()), float(data.std(ddof=1))


def _tail(effect: float, sd: float, n: int, alpha: float) -> float:
    """The chance that a one-sided t-test of n differences is significant."""
    if n < 2:
        return 0.0
    if sd <= 1e-12 * abs(effect) or sd == 0:
        return float(effect > 0)
    shift = effect / sd * math.sqrt(n)
    # Far out the noncentral t is not computed reliably, and nothing is left to chance.
    if abs(shift) > 30:
        return float(shift > 0)
    return float(stats.nct.sf(stats.t.isf(alpha, n - 1), n - 1, shift))


def _least(chance: Callable[[int], float], fewest: int) -> int:
    """The least n from `fewest` on with a chance of 0.8: doubled until it does, then halved into."""
    low, high = fewest, fewest
    while not chance(high) >= POWER:
        if high >= MOST_SEEDS:
            return MOST_SEEDS
        low, high = high + 1, min(2 * high, MOST_SEEDS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= POWER else (middle + 1, high)
    return high
