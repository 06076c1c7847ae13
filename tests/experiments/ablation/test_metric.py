"""Figures of runs: which way is better, which point of a curve counts, and what a run that diverged counts as."""

import math

import numpy as np
import pytest

from experiments.ablation.metric import Best, First, Higher, Lower, Sensitivity, StepsTo
from experiments.ablation.result import Result


def result(*values: float) -> Result:
    return Result("address", {"loss": [(i, v) for i, v in enumerate(values)]}, 3, 3, 3, 3.0, {}, {})


def test_the_last_or_the_best_point() -> None:
    assert Lower("loss").of([result(3.0, 1.0, 2.0)]) == 2.0
    assert Lower("loss", reading=Best()).of([result(3.0, 1.0, math.nan)]) == 1.0
    assert Higher("loss", reading=Best()).of([result(3.0, 1.0, 2.0)]) == 3.0


def test_the_first_point_and_when_a_threshold_is_passed() -> None:
    assert Lower("loss", reading=First()).of([result(3.0, 1.0)]) == 3.0
    curve = result(3.0, math.nan, 1.0, 0.5, 2.0)
    for below, step in ((3.0, 0), (2.9, 2), (1.0, 2), (0.9, 3), (0.4, 4)):
        assert StepsTo("loss", below=below).of([curve]) == step
    assert StepsTo("loss", below=1.0).of([result(3.0, 3.0, 3.0, 0.9), curve]) == 2


def test_differences_point_by_point() -> None:
    curves = {"late": [(0, 3.0), (5, 1.0), (9, 0.5)], "early": [(0, 3.0), (4, 7.0), (5, 2.5), (9, 2.0)]}
    run = Result("address", curves, 3, 3, 3, 3.0, {}, {})
    assert Lower("late", minus="early").of([run]) == -1.5
    with pytest.raises(ValueError, match="has no metric 'earlier'"):
        Lower("late", minus="earlier").of([run])


def test_of_several_runs_the_best_counts() -> None:
    assert Lower("loss").of([result(2.0), result(1.0)]) == 1.0 and Higher("loss").of([result(2.0), result(1.0)]) == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, 9.0])
def test_a_run_that_diverged_counts_as_the_worst(value: float) -> None:
    assert Lower("loss", worst=5.0).of([result(value)]) == 5.0
    assert Lower("loss", worst=5.0).of([result(4.0)]) == 4.0
    assert Higher("loss", worst=1.0).of([result(math.nan)]) == 1.0 == Higher("loss", worst=1.0).of([result(-3.0)])
    if not math.isfinite(value):
        assert Lower("loss").of([result(value)]) is None


def test_sensitivity_is_the_mean_of_all_runs_over_the_best_of_them() -> None:
    losses = np.array([3.0, 2.0, 7.0, math.nan, 4.0])
    expected = np.minimum(np.nan_to_num(losses, nan=math.inf), 5.0).mean() - 2.0
    found = Sensitivity("loss", worst=5.0).of([result(9.0, loss) for loss in losses])
    assert found == pytest.approx(expected) == pytest.approx(1.8)
    assert Sensitivity("loss", worst=5.0).of([result(math.nan)]) == 0.0
    with pytest.raises(ValueError, match="worst is None; give the loss"):
        Sensitivity("loss")


def test_a_metric_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="has no metric 'los'; it has loss"):
        Lower("los").of([result(1.0)])
