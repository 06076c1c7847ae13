"""Where the best run lies: parabolas whose lowest point is known, and runs that have none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.ablation.optimum import OfSetting, OfWeights, Optimum
from experiments.ablation.result import Result

BEST_RATE = Optimum(key="loss", axis=OfSetting("rate"))


def run(rate: float, loss: float, weights: int = 1) -> Result:
    return Result("address", {"loss": [(1, loss)]}, 1, 1, weights, 1.0, {}, {}, {"rate": rate})


@given(st.floats(-6.5, -3.5), st.floats(0.1, 2.0), st.sampled_from([3, 5, 7]))
def test_the_lowest_point_of_a_parabola(at: float, steep: float, points: int) -> None:
    cell = [run(2.0**k, 2.0 + steep * (k - at) ** 2) for k in range(-8, -1)]
    metric = Optimum(key="loss", axis=OfSetting("rate"), points=points)
    assert metric.of(cell[::-1]) == pytest.approx(at, abs=1e-6)
    assert metric.one(cell[0]) == cell[0].series["loss"][0][1]


def test_an_optimum_at_the_edge_was_not_found() -> None:
    assert BEST_RATE.of([run(2.0**k, -float(k)) for k in range(5)]) is None
    assert BEST_RATE.of([run(2.0**k, float(k)) for k in range(5)]) is None
    assert BEST_RATE.of([]) is None and BEST_RATE.of([run(1.0, 2.0)]) is None


def test_a_run_that_diverged_is_left_out_or_counts_as_the_worst() -> None:
    losses = [3.0, 2.0, 3.0]
    cell = [run(2.0**k, loss) for k, loss in enumerate(losses)]
    gone = run(8.0, math.nan)
    assert BEST_RATE.of([*cell, gone]) == pytest.approx(1.0)
    assert BEST_RATE.of([*cell[:2], gone]) is None
    worst = Optimum(key="loss", axis=OfSetting("rate"), worst=3.0)
    assert worst.of([*cell[:2], run(4.0, math.nan)]) == pytest.approx(1.0)


def test_along_the_number_of_weights_to_another_base() -> None:
    metric = Optimum(key="loss", axis=OfWeights(), base=10.0)
    cell = [run(0.1, abs(k - 4) + 1.0, weights=10**k) for k in range(2, 7)]
    assert metric.of(cell) == pytest.approx(4.0)


def test_what_cannot_be_looked_along_is_named() -> None:
    with pytest.raises(ValueError, match="along width, and runs were tried with other rate"):
        Optimum(key="loss", axis=OfSetting("width")).of([run(1.0, 2.0)])
    with pytest.raises(ValueError, match="points is 4; it is an odd number"):
        Optimum(key="loss", axis=OfWeights(), points=4)
