"""How long a run is may change while its schedule does not depend on it."""

import dataclasses

import pytest

from data.mixture import Joining, Mixture, Part
from train.batch_growth import Stages
from train.continuation import Refused, changes, first_other_rate
from train.experiment import Experiment
from train.load import load_experiment
from train.schedule import Constant, InverseSquareRoot, Schedule, WarmupCosine
from train.stable_decay import WarmupStableDecay

change = dataclasses.replace


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("shakespeare_char")[0]


@pytest.mark.parametrize(
    ("schedule", "done", "steps"),
    [
        (Constant(1e-3, 10), 100, 5000),
        (InverseSquareRoot(1e-3, 10), 100, 101),
        (WarmupStableDecay(1e-3, 10, 20), 80, 200),
        (WarmupCosine(1e-3, 50), 50, 200),
        (Constant(1e-3), 100, 100),
        (WarmupCosine(1e-3, 5), 0, 7),
    ],
)
def test_a_run_may_be_longer(experiment: Experiment, schedule: Schedule, done: int, steps: int) -> None:
    stored = change(experiment, schedule=schedule, steps=100)
    assert changes(stored, change(stored, steps=steps), done) == []


@pytest.mark.parametrize(
    ("schedule", "done", "steps", "message"),
    [
        (
            WarmupStableDecay(1e-3, 10, 20), 100, 200,
            "steps=100; with steps=200 its schedule gives step 81, which is done, a learning rate of 0.001 instead of",
        ),
        (WarmupCosine(1e-3, 5), 10, 200, "with steps=200 its schedule gives step 6, which is done"),
        (Constant(1e-3), 60, 50, "is at step 60, and steps=50 would end before it"),
    ],
)  # fmt: skip
def test_and_may_not(experiment: Experiment, schedule: Schedule, done: int, steps: int, message: str) -> None:
    stored = change(experiment, schedule=schedule, steps=100)
    with pytest.raises(Refused, match=message):
        changes(stored, change(stored, steps=steps), done)


def test_another_change_beside_it_is_told(experiment: Experiment) -> None:
    stored = change(experiment, schedule=Constant(1e-3), steps=100)
    assert changes(stored, change(stored, steps=200, seed=2), 10) == ["steps: 100 -> 200", "seed: 1337 -> 2"]
    assert changes(stored, change(stored, steps=200, seed=2), 10, ("steps", "seed")) == []


def test_where_data_may_join_counts_what_was_read(experiment: Experiment) -> None:
    old = Mixture((Part("plays", experiment.data, 1.0),))
    batch = change(experiment.batch, growth=Stages((0, 10), (1, 4)))
    stored = change(experiment, data=old, batch=batch)
    joined = change(stored, data=change(old, parts=(*old.parts, Part("poems", experiment.data, Joining(50, 0.5)))))
    assert changes(stored, joined, 20) == []
    with pytest.raises(Refused, match="at step 21, which has read 54 smallest batches, but data would join at step 50"):
        changes(stored, joined, 21)


def test_the_first_rate_that_differs() -> None:
    base = load_experiment("shakespeare_char")[0]
    one, other = (change(base, schedule=Constant(rate, 3), steps=9) for rate in (1.0, 2.0))
    assert first_other_rate(one, one, 9) is None and first_other_rate(one, other, 0) is None
    assert first_other_rate(one, other, 9) == (0, 0.25, 0.5)
