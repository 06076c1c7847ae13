"""What would fit, where something does not."""

import dataclasses

import pytest

from experiments.planning import remedy as module
from experiments.planning.estimate import Traces
from experiments.planning.remedy import fits, remedy
from sharding.placements import Combined
from sharding.topology import Topology, parse_topology
from train.experiment import Experiment
from train.load import load_experiment

pytestmark = pytest.mark.usefixtures("topology_there")


def test_the_nearest_is_named(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, experiment = load_experiment(config)

    def room(experiment: Experiment, topology: Topology, _: Traces) -> bool:
        return experiment.batch.accumulate >= 4 or topology.chips >= 32

    monkeypatch.setattr(module, "fits", room)
    said = remedy(experiment, parse_topology("v5e:2x2"))
    assert said == "by closed form --set batch.accumulate=4 or --topology=v5e:4x8 would do"
    monkeypatch.setattr(module, "fits", lambda *_: False)
    assert "no number of micro-batches" in remedy(experiment, parse_topology("v5e:2x2"))


def test_room_is_that_of_the_estimate(config: str) -> None:
    _, experiment = load_experiment(config)
    traces, topology = Traces(), parse_topology("v5e:2x2")
    assert fits(experiment, topology, traces)
    # Logits of 2^14 rows of 256 tokens, over 4 devices: 32 GiB.
    many = dataclasses.replace(experiment, batch=dataclasses.replace(experiment.batch, batch=2**14, evaluation=64))
    assert not fits(many, topology, traces)
    # 6 rows do not divide over 4 devices.
    few = dataclasses.replace(experiment, batch=dataclasses.replace(experiment.batch, batch=6, evaluation=64))
    assert not fits(few, topology, traces)


def test_meshes_of_one_size_divide_few_micro_batches(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, experiment = load_experiment(config)
    # Two rows a device: three micro-batches or more would leave some devices without a row.
    batch = dataclasses.replace(experiment.batch, batch=8, evaluation=8)
    whole = dataclasses.replace(experiment, batch=batch, placement=Combined(data=2, fsdp=2))
    tried: list[int] = []

    def room(experiment: Experiment, topology: Topology, _: Traces) -> bool:
        tried.append(experiment.batch.accumulate)
        return False

    monkeypatch.setattr(module, "fits", room)
    assert "no number of micro-batches" in remedy(whole, parse_topology("v5e:2x2"))
    assert max(tried) == 2
