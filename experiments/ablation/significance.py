"""Tests on a few seeds: exact where that is possible, and one-sided, since every claim has a direction."""

import abc
import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

# Sign patterns and resamples are enumerated up to here, and drawn beyond.
_MOST_PATTERNS = 2**18
_MOST_RESAMPLES = 50_000
_DRAWN = 20_000
# Page's null distribution is enumerated over orders of so many arms, and taken as normal beyond.
_MOST_ORDERED = 7


@dataclasses.dataclass(frozen=True)
class PairedTest(abc.ABC):
    """A one-sided test on paired differences."""

    @abc.abstractmethod
    def p(self, differences: Sequence[float], above: float = 0.0) -> float:
        """How probable a mean as large as this were, if differences were not above `above` on average."""

    @abc.abstractmethod
    def fewest(self, alpha: float) -> int:
        """The fewest seeds with which p can be `alpha` or less."""


@dataclasses.dataclass(frozen=True)
class SignFlip(PairedTest):
    """Fisher's exact permutation test: under the null, each difference is as likely with the other sign.

    With n seeds no p is below 2^-n: 5 seeds reach 0.031.
    """

    def p(self, differences: Sequence[float], above: float = 0.0) -> float:
        """The share of sign patterns with a sum as large as that found, which is one of them."""
        values = np.asarray(differences, np.float64) - above
        if not values.size:
            return 1.0
        slack = 1e-12 * np.abs(values).sum()
        if 2**values.size <= _MOST_PATTERNS:
            sums = _signs(values.size) @ values
            return float(np.mean(sums >= values.sum() - slack))
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(_DRAWN, values.size))
        return float((1 + np.sum(signs @ values >= values.sum() - slack)) / (1 + _DRAWN))

    def fewest(self, alpha: float) -> int:
        """n with 2^-n <= alpha."""
        return max(math.ceil(-math.log2(alpha) - 1e-12), 1)


@dataclasses.dataclass(frozen=True)
class StudentT(PairedTest):
    """Student's paired t-test: differences are taken to be normal."""

    def p(self, differences: Sequence[float], above: float = 0.0) -> float:
        """The upper tail of t; 1 with fewer than two differences."""
        values = np.asarray(differences, np.float64) - above
        if values.size < 2:
            return 1.0
        mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
        if error <= 1e-12 * abs(mean):
            return 0.0 if mean > 0 else 1.0
        return float(stats.t.sf(mean / error, values.size - 1)) if error else 1.0

    def fewest(self, alpha: float) -> int:
        """Two."""
        return 2


def page(costs: np.ndarray) -> float:
    """p of Page's L (Page 1963) that costs [seeds, arms] rise from the first arm to the last, against no trend.

    Exact for up to 7 arms without ties, and by the normal approximation for more.
    """
    seeds, arms = costs.shape
    found = float(page_terms(costs).sum())
    if arms <= _MOST_ORDERED:
        null = functools.reduce(np.convolve, [_page_null(arms)] * seeds)
        # The lowest L of a seed has the order turned round.
        lowest = seeds * sum(i * (arms + 1 - i) for i in range(1, arms + 1))
        return float(min(null[max(math.ceil(found - lowest - 1e-9), 0) :].sum(), 1.0))
    mean, variance = page_null(arms)
    return float(stats.norm.sf((found - seeds * mean) / math.sqrt(seeds * variance)))


def page_terms(costs: np.ndarray) -> np.ndarray:
    """What each seed adds to L: the sum over arms of place times rank of the cost."""
    return stats.rankdata(costs, axis=1) @ np.arange(1, costs.shape[1] + 1, dtype=np.float64)


def page_null(arms: int) -> tuple[float, float]:
    """Mean and variance of a seed's part of L when there is no trend."""
    return arms * (arms + 1) ** 2 / 4, arms**2 * (arms + 1) ** 2 * (arms - 1) / 144


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted so that the chance of one false finding among all is kept (Holm 1979)."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min((len(ps) - rank) * ps[i], 1.0))
        adjusted[i] = highest
    return adjusted


def bootstrap(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """A bootstrap interval for the mean; (nan, nan) of fewer than two values.

    Percentiles of the means of all resamples, or of 20,000 drawn ones, at levels that are widened for few values
    (Hesterberg 2015, "What Teachers Should Know about the Bootstrap", section 4.3, the expanded percentile interval).
    """
    data = np.asarray(values, np.float64)
    n = data.size
    if n < 2:
        return math.nan, math.nan
    if n**n <= _MOST_RESAMPLES:
        means = data[np.array(list(itertools.product(range(n), repeat=n)))].mean(axis=1)
    else:
        means = data[np.random.default_rng(0).integers(0, n, size=(_DRAWN, n))].mean(axis=1)
    tail = stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


@functools.cache
def _signs(n: int) -> np.ndarray:
    bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    return 2.0 * bits - 1.0


@functools.cache
def _page_null(arms: int) -> np.ndarray:
    """Probabilities of a seed's part of L, from the lowest it can be upwards."""
    places = np.arange(1, arms + 1)
    terms = np.array(list(itertools.permutations(range(1, arms + 1)))) @ places
    counts = np.bincount(terms - terms.min())
    return counts / counts.sum()
