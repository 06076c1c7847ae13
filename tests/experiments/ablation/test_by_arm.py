"""Arms with ranges of their own: as many runs for each, and the best of each one's own range judges it."""

import dataclasses
from pathlib import Path

import pytest

from experiments.ablation.by_arm import ByArm
from experiments.ablation.executor import Executor
from experiments.ablation.findings import findings
from experiments.ablation.plan import Plan, Trial
from experiments.ablation.runner import run
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Everywhere, Tuned, Untuned


def plan_of(study: Study, tuning: ByArm) -> Plan:
    return Plan(study, dataclasses.replace(study.scales["cpu"], seeds=2, tuning=tuning), study.arms)


def test_each_arm_is_tuned_over_its_own_range(study: Study, tmp_path: Path, executor: type[Executor]) -> None:
    ranges = {"one": (1e-4, 1e-3, 1e-2), "three": (1e-1, 1.0, 10.0), "bad": (2e-1, 2.0, 20.0)}
    plan = plan_of(study, ByArm({name: Tuned(values("schedule.peak", *each)) for name, each in ranges.items()}))
    plan.check()

    # Best at 1e-3 and, of the other range, at its edge.
    def loss(trial: Trial) -> float:
        return abs(trial.experiment.schedule.peak - 1e-3)

    made = executor(loss)
    ran = run(plan, Store(tmp_path), made)
    for arm in plan.arms:
        tried = {t.experiment.schedule.peak for t in plan.trials(ran.done) if t.arm == arm.name}
        assert tried == set(ranges[arm.name])
        chosen = plan.answer(arm, ran.done).chosen
        assert chosen == {"schedule.peak": {"one": 1e-3, "three": 1e-1, "bad": 2e-1}[arm.name]}
    assert ran.made == plan.most() == len(plan.arms) * (3 + 2)
    told = findings("name", "cpu", ran)["warnings"]
    edges = [line for line in told if "at the edge" in line]
    assert len(edges) == len(plan.arms) - 1


def test_an_arm_cannot_be_tuned_harder_than_another() -> None:
    with pytest.raises(ValueError, match="arm 'a' has 2 runs .* and arm 'b' 3 and 1; give each as many"):
        ByArm({"a": Tuned(values("x", 1, 2)), "b": Tuned(values("x", 1, 2, 3))})
    # As many runs in another way are as many.
    ByArm({"a": Tuned(values("x", 1, 2)), "b": Tuned(values("y", 1), seeds=(7, 8))})
    with pytest.raises(ValueError, match="0 runs to tune it and 2 a seed"):
        ByArm({"a": Everywhere(values("x", 1, 2)), "b": Everywhere(values("x", 1))})
    with pytest.raises(ValueError, match="no tunings"):
        ByArm({})


def test_an_arm_without_a_tuning_is_found_before_anything_runs(study: Study) -> None:
    with pytest.raises(ValueError, match="no tuning of arm"):
        plan_of(study, ByArm({study.arms[0].name: Untuned()})).check()
    with pytest.raises(TypeError, match="ask that of one"):
        ByArm({"a": Untuned()}).answer(range(1), {})


def test_the_budget_says_that_ranges_differ() -> None:
    tuning = ByArm({"a": Tuned(values("x", 1, 2)), "b": Tuned(values("x", 3, 4))})
    assert tuning.budget() == (
        "each arm was tuned by 2 runs: 2 settings of x on 1 seed, none of which judges; over a range of its own"
    )
    assert tuning.settings() == values("x", 1, 2, 3, 4)
