"""Figures of runs: which way is better, which point of a curve counts, and what a run that diverged counts as."""

import math

import pytest

from experiments.ablation.metric import Best, Higher, Lower
from experiments.ablation.result import Result


def result(*values: float) -> Result:
    return Result("address", {"loss": [(i, v) for i, v in enumerate(values)]}, 3, 3, 3, 3.0, {}, {})


def test_the_last_or_the_best_point() -> None:
    assert Lower("loss").of([result(3.0, 1.0, 2.0)]) == 2.0
    assert Lower("loss", reading=Best()).of([result(3.0, 1.0, math.nan)]) == 1.0
    assert Higher("loss", reading=Best()).of([result(3.0, 1.0, 2.0)]) == 3.0


def test_of_several_runs_the_best_counts() -> None:
    assert Lower("loss").of([result(2.0), result(1.0)]) == 1.0 and Higher("loss").of([result(2.0), result(1.0)]) == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, 9.0])
def test_a_run_that_diverged_counts_as_the_worst(value: float) -> None:
    assert Lower("loss", worst=5.0).of([result(value)]) == 5.0
    assert Lower("loss", worst=5.0).of([result(4.0)]) == 4.0
    assert Higher("loss", worst=1.0).of([result(math.nan)]) == 1.0 == Higher("loss", worst=1.0).of([result(-3.0)])
    if not math.isfinite(value):
        assert Lower("loss").of([result(value)]) is None


def test_a_metric_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="has no metric 'los'; it has loss"):
        Lower("los").of([result(1.0)])
