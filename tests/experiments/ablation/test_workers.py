"""Runs that are trained as one program, by several processes, leave the results that they leave one by one."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
from etils import epath

from experiments.ablation.executor import Worker
from experiments.ablation.plan import Plan
from experiments.ablation.result import Failure, Result
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from experiments.ablation.workers import Workers, divided, grouped
from train.safety import Safety


@pytest.fixture
def plan(study: Study) -> Plan:
    scale = study.at("cpu", seeds=2)
    parent = dataclasses.replace(scale.parent, safety=Safety(patience=0))
    return Plan(study, dataclasses.replace(scale, parent=parent), study.arms)


def test_groups_hold_what_differs_in_numbers(plan: Plan) -> None:
    trials = plan.due({})
    arms = [trial.arm for trial in trials]
    groups = grouped(trials)
    assert sorted(trial.address for group in groups for trial in group) == sorted(t.address for t in trials)
    kinds = [dataclasses.replace(t.experiment, seed=0, schedule=trials[0].experiment.schedule) for t in trials]
    assert len(groups) == len({str(kind) for kind in kinds}), arms


def test_groups_keep_workers_busy_for_as_long() -> None:
    letters = [list("abcde"), list("fg")]
    assert divided(letters, 8, 1) == letters
    assert divided(letters, 3, 1) == [list("cde"), list("ab"), list("fg")]
    assert divided(letters, 8, 2) == [list("cde"), list("ab"), list("fg")]
    assert sorted(map(len, divided(letters, 8, 50))) == [1] * 7 and divided([], 8, 3) == []
    # As many programs as if they were not shared out, where that is even.
    assert list(map(len, divided([list(range(29))], 8, 2))) == [8, 7, 7, 7]
    assert list(map(len, divided([list(range(5))] * 4, 8, 2))) == [5, 5, 5, 5]


@hypothesis.given(st.lists(st.integers(1, 20), max_size=6), st.integers(1, 9), st.integers(1, 8))
def test_groups_are_small_and_whole_and_loads_even(sizes: list[int], most: int, workers: int) -> None:
    groups = [[(i, n) for n in range(size)] for i, size in enumerate(sizes)]
    found = divided(groups, most, workers)
    assert sorted(sum(found, [])) == sorted(sum(groups, [])) and all(0 < len(part) <= most for part in found)
    assert all(len({i for i, _ in part}) == 1 for part in found)
    loads = [0] * workers
    for part in found:
        loads[loads.index(min(loads))] += len(part)
    assert max(loads) <= sum(sizes) / workers + 1


def test_what_is_wrong_with_a_worker_reaches_the_runner(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Worker, folders: object, store: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(Worker, "asked", full)
    with Workers(8, 2) as executor, pytest.raises(OSError, match="^no space left"):
        list(executor.run(plan.due({}), Store(tmp_path)))


def test_arms_of_other_shapes_are_told_apart(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers of a model look like numbers, and are shapes; seeds of one arm are one program all the same."""
    arms = (plan.arms[0], dataclasses.replace(plan.arms[1], changes={"model.layers": 2}))
    trials = Plan(plan.study, dataclasses.replace(plan.scale, seeds=3), arms).due({})
    asked: list[int] = []

    def answered(self: Worker, folders: Sequence[epath.Path], store: Store) -> str:
        orders = [json.loads((folder / "order.json").read_text()) for folder in folders]
        asked.append(len(orders))
        if len({order["config"]["model"]["layers"] for order in orders}) > 1:
            return "NotTogether: seed, model.layers cannot all differ within one program"
        for folder, order in zip(folders, orders, strict=True):
            Result(order["address"], {}, 1, 1, 1, 1.0, {}, {}).write(folder / "result.json")
        return ""

    monkeypatch.setattr(Worker, "asked", answered)
    said: list[str] = []
    with Workers(8, say=said.append) as executor:
        found = dict(executor.run(trials, Store(tmp_path)))
    assert len(found) == 6 and all(isinstance(each, Result) for each in found.values())
    assert asked == [6, 3, 3] and said == []


@pytest.mark.slow
def test_results_are_those_of_runs_one_by_one(plan: Plan, tmp_path: Path) -> None:
    trials = plan.due({})
    with Workers(8, 2) as executor:
        together = {trial.address: found for trial, found in executor.run(trials, Store(tmp_path / "together"))}
    with Workers() as executor:
        apart = {trial.address: found for trial, found in executor.run(trials, Store(tmp_path / "apart"))}
    assert together.keys() == apart.keys() and len(apart) == len(trials)
    for address, one in apart.items():
        other = together[address]
        assert isinstance(one, Result) and isinstance(other, Result)
        for field in ("steps", "tokens", "weights", "flops"):
            assert getattr(one, field) == getattr(other, field)
        learnt = {key for key in one.series if key.startswith(("train/", "eval/"))}
        assert learnt <= other.series.keys()
        for key in learnt:
            assert [at for at, _ in one.series[key]] == [at for at, _ in other.series[key]]
            wanted = pytest.approx([value for _, value in one.series[key]], rel=1e-3)
            assert [value for _, value in other.series[key]] == wanted, key
    assert any("together" in found.seconds for found in together.values())
    # Nothing of a group is left.
    assert not list((tmp_path / "together" / "runs").glob("*/together-*"))


@pytest.mark.slow
def test_a_group_that_cannot_be_is_made_run_by_run(plan: Plan, tmp_path: Path) -> None:
    """With patience runs go back by themselves, which a group cannot; and nothing is lost for a run that fails."""
    patient = dataclasses.replace(plan.scale.parent, safety=Safety())
    again = Plan(plan.study, dataclasses.replace(plan.scale, parent=patient), plan.arms)
    trials = again.due({})[:2]
    said: list[str] = []
    with Workers(8, say=said.append) as executor:
        assert all(isinstance(found, Result) for _, found in executor.run(trials, Store(tmp_path / "patient")))
        (why,) = said
        assert why == "run by run, not as one program: safety.patience is 5; in one program with other trials it is 0"
        small = dataclasses.replace(plan.scale, parent=dataclasses.replace(
            plan.scale.parent, model=dataclasses.replace(plan.scale.parent.model, vocab=9)
        ))  # fmt: skip
        wrong = Plan(plan.study, small, plan.arms).due({})[:2]
        assert all(isinstance(found, Failure) for _, found in executor.run(wrong, Store(tmp_path / "wrong")))
