"""Tuning: every arm the same budget, the best of it judged, whatever order results come in."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.ablation.sweep import Sweep, values
from experiments.ablation.tuning import Everywhere, Halving, Request, Tuned, Tuning, Untuned, at_edge

RATES = values("rate", 1, 2, 3, 4)


def play(tuning: Tuning, cost: dict[int, float], seeds: int = 3, one_by_one: bool = False) -> tuple[list, object]:
    """All requests until none is due, and the last answer."""
    known: dict[Request, float] = {}
    made = []
    while due := tuning.answer(range(seeds), known).due:
        for request in due[:1] if one_by_one else due:
            made.append(request)
            known[request] = cost[dict(request.setting).get("rate", 0)]
    return made, tuning.answer(range(seeds), known)


@given(st.permutations([1.0, 2.0, 3.0, math.inf]), st.booleans())
def test_the_best_is_judged_on_seeds_that_did_not_choose(costs: list[float], one_by_one: bool) -> None:
    cost = dict(zip((1, 2, 3, 4), costs, strict=True))
    tuning = Tuned(RATES, seeds=(100, 101))
    made, answer = play(tuning, cost, one_by_one=one_by_one)
    best = min(cost, key=cost.__getitem__)
    assert answer.chosen == {"rate": best} and len(made) == len(set(made)) == tuning.trials() + tuning.judging(3) == 11
    assert {r.seed for cell in answer.cells.values() for r in cell} == {0, 1, 2}
    assert not {r.seed for r in made if r.seed < 100} & {100, 101}


def test_nothing_to_tune() -> None:
    made, answer = play(Untuned(), {0: 1.0})
    assert [r.seed for r in made] == [0, 1, 2] and answer.chosen == {} and Untuned().trials() == 0


@given(st.permutations([1.0, 2.0, 3.0, 4.0]))
def test_halving_spends_less_and_finds_the_best_where_order_is_kept(costs: list[float]) -> None:
    cost = dict(zip((1, 2, 3, 4), costs, strict=True))
    tuning = Halving(RATES, rungs=3)
    made, answer = play(tuning, cost)
    assert answer.chosen == {"rate": min(cost, key=cost.__getitem__)}
    shares = [r.share for r in made if r.seed >= 100]
    assert shares == [0.25] * 4 + [0.5] * 2 + [1.0] and tuning.trials() == 7
    assert sum(shares) < len(RATES)


def test_everywhere_judges_by_all() -> None:
    made, answer = play(Everywhere(RATES), dict.fromkeys((1, 2, 3, 4), 1.0))
    assert len(made) == 12 == Everywhere(RATES).judging(3) and answer.chosen is None
    assert all(len(cell) == 4 for cell in answer.cells.values())


def test_the_edge_of_a_sweep_is_noticed() -> None:
    assert at_edge(RATES, {"rate": 4}) == ["rate"] and at_edge(RATES, {"rate": 2}) == []
    assert at_edge(RATES[:2], {"rate": 2}) == []


@pytest.mark.parametrize("sweep, words", [((), "no settings"), (values("a", 1, 1), "twice")])
def test_sweeps_that_cannot_be_tuned_by(sweep: Sweep, words: str) -> None:
    for kind in (Tuned, Halving, Everywhere):
        with pytest.raises(ValueError, match=words):
            kind(sweep)


def test_budgets_are_told() -> None:
    assert Tuned(RATES).budget() == "each arm was tuned by 4 runs: 4 settings of rate on 1 seed, none of which judges"
    assert "4 of 0.5 of the steps, then 2 of 1 of the steps" in Halving(RATES).budget()
    with pytest.raises(ValueError, match="1 rung or more"):
        Halving(RATES, rungs=0)
