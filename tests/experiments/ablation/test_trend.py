"""Slopes over arms, and the published exponent found again in losses that its law gives."""

import dataclasses
import math

import numpy as np
import pytest

from experiments.ablation.finding import Standing
from experiments.ablation.metric import Higher, Lower, Metric
from experiments.ablation.optimum import OfWeights, Optimum
from experiments.ablation.result import Result
from experiments.ablation.scores import Cells, Scores
from experiments.ablation.trend import Slope

SLOPE = Slope(names=("a", "b", "c"), at=(0.0, 1.0, 2.0), low=0.4, high=0.65)
SIZE = Optimum(key="loss", axis=OfWeights(), points=5, base=10.0)


def run(loss: float, weights: int = 1) -> Result:
    return Result("address", {"loss": [(1, loss)]}, 1, 1, weights, 1.0, {}, {})


def decide(slope: Slope, cells: Cells, metric: Metric):
    return slope.decide(lambda other: Scores.of(cells, other or metric))


def lines(slopes: list[float]) -> Cells:
    """Arms whose figures have these slopes, one a seed, and other heights."""
    return {
        name: {seed: [run(seed + each * at)] for seed, each in enumerate(slopes)}
        for name, at in zip("abc", (0, 1, 2), strict=True)
    }


@pytest.mark.parametrize("metric", [Lower("loss"), Higher("loss")])
def test_a_slope_within_beyond_and_between(metric: Metric) -> None:
    near = decide(SLOPE, lines([0.50, 0.52, 0.54, 0.49, 0.55]), metric)
    assert near.standing is Standing.HOLDS and "(it is 0.520, 95% interval [0.4" in near.claim
    assert near.p == pytest.approx(1 / 32)
    for beyond in ([0.73, 0.75, 0.74, 0.72, 0.76, 0.73], [-0.52] * 6):
        assert decide(SLOPE, lines(beyond), metric).standing is Standing.FAILS
    unsure = decide(SLOPE, lines([0.2, 0.9, 0.5, 0.7, 0.4]), metric)
    assert unsure.standing is Standing.OPEN and unsure.more >= 1


def test_seeds_that_lack_an_arm_do_not_count() -> None:
    cells = lines([0.5, 0.5, 9.0])
    assert "(it is 0.500" in decide(SLOPE, {**cells, "c": {s: cells["c"][s] for s in (0, 1)}}, Lower("loss")).claim
    nothing = decide(SLOPE, {name: {} for name in "abc"}, Lower("loss"))
    assert nothing.standing is Standing.OPEN and "not known" in nothing.claim


def test_the_published_exponent_is_found_in_losses_that_its_law_gives() -> None:
    """Hoffmann 2022, equation 10: E + A / N^alpha + B / D^beta, of which a = beta / (alpha + beta)."""
    e, a, b, alpha, beta = 1.69, 406.4, 410.7, 0.34, 0.28
    draw = np.random.default_rng(0)
    exponents = (18, 19, 20, 21)
    cells: dict[str, dict[int, list[Result]]] = {}
    for exponent in exponents:
        best = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (10**exponent / 6) ** (beta / (alpha + beta))
        # Sizes that no one has centred on the best one.
        sizes = [10 ** (round(math.log10(best), 1) + k * 0.25) for k in range(-3, 4)]
        cells[str(exponent)] = {
            seed: [
                run(e + a / n**alpha + b / (10**exponent / 6 / n) ** beta + draw.normal(0, 1e-4), round(n))
                for n in sizes
            ]
            for seed in range(6)
        }
    slope = Slope(names=tuple(cells), at=tuple(map(float, exponents)), low=0.4, high=0.5)
    found = decide(slope, cells, SIZE)
    assert found.standing is Standing.HOLDS
    measured = float(found.claim.partition("(it is ")[2].partition(",")[0])
    assert measured == pytest.approx(beta / (alpha + beta), abs=0.01)
    # Kaplan's 0.73 is no such law's.
    assert decide(dataclasses.replace(slope, low=0.65, high=0.8), cells, SIZE).standing is Standing.FAILS


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"at": (0.0, 1.0)}, "give each a number"),
        ({"at": (1.0, 1.0, 1.0)}, "two of them unequal"),
        ({"low": 0.7}, "the first is below"),
        ({"names": ("a", "a", "b")}, "each once"),
    ],
)
def test_slopes_that_cannot_be_claimed(changes: dict, words: str) -> None:
    given = {"names": SLOPE.names, "at": SLOPE.at, "low": SLOPE.low, "high": SLOPE.high} | changes
    with pytest.raises(ValueError, match=words):
        Slope(**given)
