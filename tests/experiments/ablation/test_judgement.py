"""From claims and controls to one of three verdicts."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.ablation.judgement import judge
from experiments.ablation.result import Result
from experiments.ablation.study import Study
from experiments.ablation.verdict import MOST_SEEDS, Inconclusive, NotReproduced, Reproduced, Verdict


def cells(**losses: list[float]) -> dict:
    def result(loss: float) -> Result:
        return Result("a", {"eval/loss": [(1, loss)]}, 1, 1, 1, 1.0, {}, {})

    return {arm: {seed: [result(loss)] for seed, loss in enumerate(of)} for arm, of in losses.items()}


FIVE = [0.0, 0.01, 0.02, 0.01, 0.03]


def about(mean: float) -> list[float]:
    return [mean + v * (1 + mean) for v in FIVE]


@pytest.mark.parametrize(
    "one, three, bad, verdict, words",
    [
        (2.0, 1.0, 3.0, Reproduced(), "three better than one"),
        (1.0, 2.0, 3.0, NotReproduced(), "the data contradict"),
        (2.0, 1.0, 0.5, Inconclusive(MOST_SEEDS), "the positive control came out wrong"),
    ],
)
def test_verdicts(study: Study, one: float, three: float, bad: float, verdict: Verdict, words: str) -> None:
    found = judge(study, cells(one=about(one), three=about(three), bad=about(bad)))
    assert found.verdict == verdict and words in found.why


def test_an_open_claim_says_how_many_seeds(study: Study) -> None:
    found = judge(study, cells(one=[1.0, 2.0, 1.5, 1.4, 1.6], three=[1.1, 1.5, 1.4, 1.5, 1.3], bad=about(9.0)))
    assert isinstance(found.verdict, Inconclusive) and 1 <= found.verdict.seeds < MOST_SEEDS
    assert judge(study, cells()).verdict == Inconclusive(5)
    assert judge(study, cells(one=about(2.0)[:2], three=about(1.0)[:2], bad=about(3.0)[:2])).verdict == Inconclusive(3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.floats(-5, 5) | st.just(float("nan"))] * 3), max_size=6))
def test_whatever_comes_in_there_are_three(study: Study, rows: list[tuple[float, float, float]]) -> None:
    of = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    found = judge(study, cells(one=of[0], three=of[1], bad=of[2]))
    assert type(found.verdict) in (Reproduced, NotReproduced, Inconclusive) and found.why
    if isinstance(found.verdict, Reproduced):
        assert len(rows) >= 5


def test_more_than_the_claim_is_needed_where_the_control_is_open(study: Study) -> None:
    hard = dataclasses.replace(study, claim=dataclasses.replace(study.claim, alpha=0.001))
    found = judge(hard, cells(one=[1.0], three=[2.0], bad=[3.0]))
    assert found.verdict == Inconclusive(9) and "control is open" in found.why
