"""A runner makes each run once, loses none for another's failure, and goes on from what is on disk."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.ablation.arm import Arm
from experiments.ablation.executor import Executor
from experiments.ablation.judgement import judge
from experiments.ablation.plan import Plan, Trial
from experiments.ablation.runner import run
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Halving, Tuned
from experiments.ablation.verdict import Inconclusive, Reproduced

Loss = Callable[[Trial], float]


def plan_of(study: Study, seeds: int = 5, **changes: object) -> Plan:
    return Plan(study, dataclasses.replace(study.scales["cpu"], seeds=seeds, **changes), study.arms)


def test_every_run_once_and_seeds_go_round_the_arms(
    study: Study, tmp_path: Path, executor: type[Executor], honest: Loss
) -> None:
    made, said = executor(honest), []
    ran = run(plan_of(study), Store(tmp_path), made, said.append)
    assert len(made.ran) == 15 == len(set(made.ran)) == ran.made
    assert made.ran[:4] == ["one, seed 0", "three, seed 0", "bad, seed 0", "one, seed 1"]
    assert said[0].startswith("1 of 15 runs, ") and said[-1].startswith("15 of 15 runs")
    assert judge(study, ran.plan.cells(ran.done)).verdict == Reproduced()


def test_a_second_call_makes_nothing(study: Study, tmp_path: Path, executor: type[Executor], honest: Loss) -> None:
    run(plan_of(study), Store(tmp_path), executor(honest), lambda line: None)
    again, said = executor(honest), []
    ran = run(plan_of(study), Store(tmp_path), again, said.append)
    assert again.ran == [] and said == ["15 runs were there already"] and len(ran.done) == 15
    # More seeds need only those that are new.
    more = executor(honest)
    run(plan_of(study, seeds=7), Store(tmp_path), more, lambda line: None)
    assert len(more.ran) == 6


def test_seeds_count_from_the_first(study: Study, tmp_path: Path, executor: type[Executor], honest: Loss) -> None:
    run(plan_of(study), Store(tmp_path), executor(honest), lambda line: None)
    made = executor(honest)
    ran = run(plan_of(study, first_seed=3), Store(tmp_path), made, lambda line: None)
    assert {seed for cells in ran.plan.cells(ran.done).values() for seed in cells} == {3, 4, 5, 6, 7}
    assert len(made.ran) == 9 and judge(study, ran.plan.cells(ran.done)).verdict == Reproduced()


def test_a_runner_that_is_stopped_goes_on(study: Study, tmp_path: Path, executor: type[Executor], honest: Loss) -> None:
    def stopping(trial: Trial) -> float:
        if trial.request.seed == 2:
            raise KeyboardInterrupt
        return honest(trial)

    with pytest.raises(KeyboardInterrupt):
        run(plan_of(study), Store(tmp_path), executor(stopping), lambda line: None)
    rest = executor(honest)
    ran = run(plan_of(study), Store(tmp_path), rest, lambda line: None)
    assert len(rest.ran) == 9 and judge(study, ran.plan.cells(ran.done)).verdict == Reproduced()


def test_a_failed_arm_does_not_lose_the_others(
    study: Study, tmp_path: Path, executor: type[Executor], honest: Loss
) -> None:
    made = executor(lambda trial: "out of memory" if trial.arm == "three" else honest(trial))
    ran = run(plan_of(study), Store(tmp_path), made, lambda line: None)
    assert len(made.ran) == 15 and not ran.plan.due(ran.done)
    cells = ran.plan.cells(ran.done)
    assert [len(cells[name]) for name in ("one", "three", "bad")] == [5, 0, 5]
    assert judge(study, cells).verdict == Inconclusive(5)
    # Called again, it tries them once more.
    again = executor(honest)
    run(plan_of(study), Store(tmp_path), again, lambda line: None)
    assert len(again.ran) == 5


def test_studies_share_runs_that_are_the_same(
    study: Study, tmp_path: Path, executor: type[Executor], honest: Loss
) -> None:
    run(plan_of(study), Store(tmp_path), executor(honest), lambda line: None)
    other = dataclasses.replace(study, arms=tuple(dataclasses.replace(a, paper=None) for a in study.arms[::-1]))
    made = executor(honest)
    run(plan_of(other), Store(tmp_path), made, lambda line: None)
    assert made.ran == []


@pytest.mark.parametrize("kind", [Tuned, Halving])
def test_arms_are_tuned_apart_and_by_as_much(
    study: Study, tmp_path: Path, executor: type[Executor], honest: Loss, kind: type
) -> None:
    best = {"one": 0.1, "three": 0.3, "bad": 0.2}

    def loss(trial: Trial) -> float:
        return honest(trial) + abs(trial.experiment.schedule.peak - best[trial.arm])

    arms = tuple(Arm(name, {"optimizer.decay": share}) for name, share in best.items())
    study = dataclasses.replace(study, arms=arms)
    tuning = kind(values("schedule.peak", 0.1, 0.2, 0.3))
    plan, made = plan_of(study, tuning=tuning), executor(loss)
    ran = run(plan, Store(tmp_path), made, lambda line: None)
    assert {arm.name: plan.answer(arm, ran.done).chosen["schedule.peak"] for arm in study.arms} == best
    counts = {arm.name: sum(trial.arm == arm.name for trial in plan.trials(ran.done)) for arm in study.arms}
    assert set(counts.values()) == {tuning.trials() + 5} and sum(counts.values()) == plan.most()
    assert len(made.ran) == plan.most()


def test_a_short_run_is_shorter(study: Study) -> None:
    plan = plan_of(study, tuning=Halving(values("schedule.peak", 0.1, 0.2), rungs=2))
    assert {trial.experiment.steps for trial in plan.due({})} == {2}


def test_runs_of_other_code_count_when_asked_to(
    study: Study, tmp_path: Path, executor: type[Executor], honest: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(plan_of(study), Store(tmp_path), executor(honest), lambda line: None)
    for folder in sorted((tmp_path / "runs").iterdir()):
        folder.rename(folder.with_name(folder.name.partition("-")[0] + "-0123456789abcdef"))
    old = executor(honest)
    run(plan_of(study), Store(tmp_path, any_code=True), old, lambda line: None)
    assert old.ran == []
    new = executor(honest)
    run(plan_of(study), Store(tmp_path), new, lambda line: None)
    assert len(new.ran) == 15
