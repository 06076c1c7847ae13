"""Hashes follow what counts: the step and the options, not the data, the cadence, or in which order options stand."""

import dataclasses

import pytest

from experiments.planning.provenance import Provenance, options_hash, step_hash
from train.load import load_experiment


@pytest.mark.parametrize("change", ["model.layers=2", "batch.batch=4", "optimizer.rate=1.0", "objective.chunk=64"])
def test_another_step_has_another_hash(change: str) -> None:
    written, changed = load_experiment("smoke", [change])
    assert step_hash(written) != step_hash(changed)


def test_data_rates_and_cadence_are_not_of_the_step() -> None:
    written, changed = load_experiment("smoke", ["steps=100", "cadence.log=1", "schedule.peak=1.0", "seed=1"])
    assert step_hash(written) == step_hash(changed) == step_hash(dataclasses.replace(written, hooks=()))


def test_options_are_a_set() -> None:
    one, other = {"a": True, "b": "1"}, {"b": "1", "a": True}
    assert options_hash(one) == options_hash(other) != options_hash({"a": False, "b": "1"})


def test_figures_hold_for_the_same_step_and_options() -> None:
    written, changed = load_experiment("smoke", ["model.layers=2"])
    options = {"xla_one": True}
    made = Provenance("0.0.1", options_hash(options), step_hash(written))
    assert made.holds(written, options)
    assert not made.holds(changed, options) and not made.holds(written, {})
