"""Hosts that share a directory make each run once between them, and come to the same."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.ablation.executor import Executor
from experiments.ablation.part import Part, Share
from experiments.ablation.plan import Plan, Trial
from experiments.ablation.result import Failure
from experiments.ablation.runner import Ran, run
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned

Loss = Callable[[Trial], float | str]


def side_by_side(plan: Plan, folder: Path, executors: list[Executor]) -> list[Ran]:
    """What each of several runners comes to, all at once in one store."""
    found: dict[int, Ran] = {}

    def one(index: int) -> None:
        part = Part(Share(index, len(executors)), executors[index], lambda line: None, pause=0.01)
        with part:
            found[index] = run(plan, Store(folder), part, lambda line: None)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(executors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[index] for index in range(len(executors))]


@pytest.fixture
def plan(study: Study) -> Plan:
    """One whose later runs depend on how the earlier ones went."""
    scale = dataclasses.replace(study.scales["cpu"], tuning=Tuned(values("optimizer.decay", 0.1, 0.2, 0.3)))
    return Plan(study, scale, study.arms)


def test_each_run_is_made_once(plan: Plan, tmp_path: Path, executor: type[Executor], honest: Loss) -> None:
    executors = [executor(honest) for _ in range(3)]
    ran = side_by_side(plan, tmp_path, executors)
    made = [name for each in executors for name in each.ran]
    assert len(made) == len(set(made)) == 3 * (3 + 5) and all(each.ran for each in executors)
    assert ran[0].done == ran[1].done == ran[2].done and len(ran[0].done) == len(made)


def test_a_run_that_fails_keeps_nobody_waiting(
    plan: Plan, tmp_path: Path, executor: type[Executor], honest: Loss
) -> None:
    def failing(trial: Trial) -> float | str:
        return "it fell over" if trial.arm == "bad" and trial.request.seed == 3 else honest(trial)

    ran = side_by_side(plan, tmp_path, [executor(failing), executor(failing)])
    assert ran[0].done == ran[1].done
    (failed,) = [each for each in ran[0].done.values() if isinstance(each, Failure)]
    assert failed.reason == "it fell over" and Store(tmp_path).marked(failed.address) == failed
    # Begun again, it is no failure any more.
    again = run(plan, Store(tmp_path), executor(honest), lambda line: None)
    assert not [each for each in again.done.values() if isinstance(each, Failure)]
    assert Store(tmp_path).marked(failed.address) is None


def test_every_address_is_of_one_part() -> None:
    addresses = [f"{i:032x}" for i in range(300)]
    counts = [sum(Share(i, 4).holds(address) for address in addresses) for i in range(4)]
    assert sum(counts) == 300 and min(counts) > 40 and all(Share().holds(address) for address in addresses)


@pytest.mark.parametrize("text", ["4/4", "1", "-1/2", "a/b", "1/0", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a part is written '0/4' to '3/4'"):
        Share.parse(text)
    assert Share.parse("3/4") == Share(3, 4)
