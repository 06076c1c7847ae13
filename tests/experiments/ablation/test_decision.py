"""Claims on scores that are made up so that it is known what should come out."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.ablation.decision import AllOf, Better, Decision, Equivalent, NoWorse, Ordering
from experiments.ablation.finding import Finding, Standing
from experiments.ablation.metric import Lower, Metric
from experiments.ablation.scores import Scores
from experiments.ablation.significance import StudentT


def scores(seeds: int = 5, noise: float = 0.0, **means: float) -> Scores:
    draw = np.random.default_rng(0)
    return Scores({arm: {s: mean + noise * draw.normal() for s in range(seeds)} for arm, mean in means.items()})


def found(decision: Decision, of: Scores) -> Finding:
    return decision.decide(lambda metric: of)


@pytest.mark.parametrize(
    "means, worth, standing",
    [
        ({"a": 1.0, "b": 2.0}, 0.0, Standing.HOLDS),
        ({"a": 2.0, "b": 1.0}, 0.0, Standing.FAILS),
        # There, and smaller than it is worth.
        ({"a": 1.0, "b": 1.1}, 0.5, Standing.FAILS),
        ({"a": 1.0, "b": 1.7}, 0.5, Standing.HOLDS),
    ],
)
def test_better_in_five_seeds(means: dict[str, float], worth: float, standing: Standing) -> None:
    result = found(Better(names=("a",), than=("b",), worth=worth), scores(noise=1e-3, **means))
    assert result.standing is standing
    assert result.comparisons[0].mean == pytest.approx(means["b"] - means["a"], abs=1e-2)


@pytest.mark.parametrize(
    "other, noise, standing",
    [
        (0.5, 1e-3, Standing.HOLDS),
        (1.0, 1e-3, Standing.HOLDS),
        # Worse, and within the margin; then beyond it; then too noisy to tell.
        (1.08, 1e-3, Standing.HOLDS),
        (1.2, 1e-3, Standing.FAILS),
        (1.05, 0.5, Standing.OPEN),
    ],
)
def test_no_worse_is_one_sided(other: float, noise: float, standing: Standing) -> None:
    result = found(NoWorse(names=("a",), than=("b",), margin=0.1), scores(noise=noise, a=other, b=1.0))
    assert result.standing is standing and result.claim == "a no worse than b by 0.1"


def test_four_seeds_cannot_tell_by_signs_and_five_are_asked_for() -> None:
    result = found(Better(names=("a",), than=("b",)), scores(4, 1e-3, a=1.0, b=2.0))
    assert result.standing is Standing.OPEN and result.more == 1 and result.p == 1 / 16
    assert (
        found(Better(names=("a",), than=("b",), test=StudentT()), scores(4, 1e-3, a=1, b=2)).standing is Standing.HOLDS
    )
    assert found(Better(names=("a",), than=("b",)), Scores({"a": {}})).more == 5


def test_each_of_some_must_beat_each_of_others() -> None:
    claim = Better(names=("a", "b"), than=("c", "d"))
    assert found(claim, scores(noise=1e-3, a=1, b=2, c=3, d=4)).standing is Standing.HOLDS
    assert len(found(claim, scores(a=1, b=2, c=3, d=4)).comparisons) == 4
    # One pair of four the other way: after Holm five seeds do not contradict the claim, eight do.
    assert found(claim, scores(5, 1e-3, a=1, b=3.5, c=3, d=4)).standing is Standing.OPEN
    assert found(claim, scores(8, 1e-3, a=1, b=3.5, c=3, d=4)).standing is Standing.FAILS


def test_an_order_is_a_trend() -> None:
    claim = Ordering(names=("a", "b", "c"))
    assert found(claim, scores(noise=1e-3, a=1, b=2, c=3)).standing is Standing.HOLDS
    assert found(claim, scores(6, noise=1e-3, a=3, b=2, c=1)).standing is Standing.FAILS
    assert found(Ordering(names=("a", "b", "c"), worth=9), scores(6, 1e-3, a=1, b=2, c=3)).standing is Standing.FAILS
    lone = found(claim, scores(1, a=1, b=2, c=3))
    assert lone.standing is Standing.OPEN and lone.p == pytest.approx(1 / 6) and lone.more == 1
    assert [pair.better for pair in lone.comparisons] == ["a", "b"]


@pytest.mark.parametrize(
    "other, noise, standing",
    [
        (1.001, 1e-3, Standing.HOLDS),
        (2.0, 1e-3, Standing.FAILS),
        (0.2, 1e-3, Standing.FAILS),
        (1.0, 0.3, Standing.OPEN),
    ],
)
def test_equivalence_is_within_a_margin(other: float, noise: float, standing: Standing) -> None:
    result = found(Equivalent(names=("a", "b"), margin=0.05), scores(6, noise, a=1.0, b=other))
    assert result.standing is standing and (result.more > 0) == (standing is Standing.OPEN)


def test_all_of_several_claims() -> None:
    yes, no = Better(names=("a",), than=("b",)), Better(names=("b",), than=("a",))
    of = scores(noise=1e-3, a=1, b=2)
    assert found(AllOf(claims=(yes, yes)), of).standing is Standing.HOLDS
    assert found(AllOf(claims=(yes, no)), of).standing is Standing.FAILS
    assert len(found(AllOf(claims=(yes, no)), of).parts) == 2
    assert AllOf(claims=(yes, no)).arms == ("a", "b")


def test_each_claim_is_asked_by_its_own_metric() -> None:
    speed, asked = Lower("perf/step_seconds"), []

    def ask(metric: Lower | None) -> Scores:
        asked.append(metric)
        return scores(a=1, b=2)

    AllOf(claims=(Better(names=("a",), than=("b",)), Better(names=("a",), than=("b",), metric=speed))).decide(ask)
    assert asked == [None, speed]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), max_size=7), st.floats(0, 1), st.floats(1e-3, 1))
def test_whatever_the_scores_a_claim_holds_fails_or_needs_seeds(
    pairs: list[tuple[float, float]], worth: float, margin: float
) -> None:
    of = Scores({"a": {i: x for i, (x, _) in enumerate(pairs)}, "b": {i: y for i, (_, y) in enumerate(pairs)}})
    for claim in (
        Better(names=("a",), than=("b",), worth=worth),
        Ordering(names=("a", "b"), worth=worth),
        Equivalent(names=("a", "b"), margin=margin),
        NoWorse(names=("a",), than=("b",), margin=margin),
    ):
        result = found(claim, of)
        assert (result.more >= 1) == (result.standing is Standing.OPEN) and 0 <= result.p <= 1
    # What is better cannot be worse.
    both = [found(Better(names=n, than=t), of).standing for n, t in ((("a",), ("b",)), (("b",), ("a",)))]
    assert both.count(Standing.HOLDS) < 2
    # Equal within a margin is no worse than each other, and the other way round.
    equal = found(Equivalent(names=("a", "b"), margin=margin), of).standing is Standing.HOLDS
    ways = [NoWorse(names=(n,), than=(t,), margin=margin) for n, t in (("a", "b"), ("b", "a"))]
    assert equal == all(found(way, of).standing is Standing.HOLDS for way in ways)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Better(names=("a",), than=("a",)), "each once"),
        (lambda: Better(names=("a",), than=("b",), worth=-1), "worth is -1"),
        (lambda: Better(names=("a",), than=("b",), alpha=0.7), "alpha is 0.7"),
        (lambda: Ordering(names=("a",)), "two arms or more"),
        (lambda: Equivalent(names=("a", "b"), margin=0), "within more than 0"),
        (lambda: NoWorse(names=("a",), than=("b",), margin=0), "margin is 0; it is above 0"),
        (lambda: AllOf(claims=()), "needs one or more"),
    ],
)
def test_claims_that_cannot_be(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "kind, said",
    [
        (lambda metric: Better(names=("a",), than=("b",), worth=0.5, metric=metric), "a better than b by 0.5 or more"),
        (lambda metric: Ordering(names=("a", "b"), metric=metric), "a before b"),
        (lambda metric: Equivalent(names=("a", "b"), margin=0.5, metric=metric), "a and b within 0.5 of each other"),
    ],
)
def test_a_metric_of_its_own_is_named(kind: Callable[[Metric | None], Decision], said: str) -> None:
    assert found(kind(None), scores(a=1.0, b=2.0)).claim == said
    assert found(kind(Lower("eval/bits")), scores(a=1.0, b=2.0)).claim == f"{said} in eval/bits"
