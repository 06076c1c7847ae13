"""What two specs differ in, line by line."""

import dataclasses

import pytest

from data.spec_difference import difference
from model.feedforward import MLP, GatedMLP
from model.norms import LayerNorm, RMSNorm
from train.experiment import Experiment, derive
from train.hooks import Hook
from train.load import load_experiment


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("shakespeare_char:nanogpt")[0]


def test_difference_lists_what_changed(experiment: Experiment) -> None:
    assert difference(experiment, experiment) == []
    child = derive(
        experiment,
        steps=7,
        model=dataclasses.replace(experiment.model, feedforward=GatedMLP(512), norm=LayerNorm(bias=True)),
    )
    assert child.parent is experiment
    assert difference(experiment, child) == [
        "model.feedforward.type: 'MLP' -> 'GatedMLP'",
        "model.feedforward.activation: 'gelu' -> 'silu'",
        "model.norm.bias: False -> True",
        "steps: 2000 -> 7",
    ]
    assert difference(MLP(4), RMSNorm()) == [
        "type: 'MLP' -> 'RMSNorm'", "hidden: 4 -> -", "activation: 'gelu' -> -", "bias: False -> -",
        "eps: - -> 1e-06", "offset: - -> 0.0",
    ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Ticking(Hook):
    every: int = 3


def test_what_newly_appears_is_one_line(experiment: Experiment) -> None:
    bare, hooked = derive(experiment, hooks=()), derive(experiment, hooks=(Ticking(),))
    assert difference(bare, hooked) == ["hooks: () -> (Ticking(every=3),)"]
    assert difference(hooked, bare) == ["hooks: (Ticking(every=3),) -> ()"]
    assert difference(hooked, derive(hooked, hooks=(Ticking(), Ticking(4)))) == ["hooks.1: - -> Ticking(every=4)"]
    assert difference(hooked, derive(hooked, hooks=(Ticking(5),))) == ["hooks.0.every: 3 -> 5"]
