"""A plan as figures and as JSON."""

import json
from collections.abc import Callable

import pytest

from data.spec import flatten
from experiments.planning.record import Record

GIB = 2**30
Plan = Callable[..., Record]

# The keys are an interface: those that go, or mean something else, count `SCHEMA` up.
KEYS = """
schema config topology.name topology.slices topology.chips topology.chip topology.devices topology.usable_bytes
work.mesh.data work.mesh.fsdp work.rows work.sequence work.accumulate work.weights work.flops_per_token work.remat
work.tokens work.model_flops_per_device fits
memory.usable memory.weights memory.optimizer memory.other memory.batch memory.temporary memory.program memory.peak
memory.host memory.planned memory.used memory.margin memory.fits
estimate.state estimate.batch estimate.activations estimate.logits estimate.gradients estimate.copies estimate.layer
estimate.accumulated estimate.peak
speed.seconds speed.bound speed.mfu speed.mfu_bound speed.tokens_per_second_per_chip speed.recomputed
effort.trace_seconds effort.compile_seconds effort.memory_bytes compiler_options.xla_flag advice scheduled_only
"""


def test_the_keys_of_the_json_stay(plan: Plan) -> None:
    found = json.loads(plan("model.layers=2").as_json())
    assert found["schema"] == 1
    assert found["changes"] == ["model.layers=2"]
    cost, lists = found.pop("cost"), [found.pop(key) for key in ("changes", "notes", "command")]
    assert set(flatten(found)) == set(KEYS.split())
    assert cost["collectives"][0]["axes"] == ["data"]
    assert lists[2][:4] == ["python", "-m", "train", "--config=small"]


def test_figures_follow_from_the_cost(plan: Plan) -> None:
    record = plan(seconds=2.0)
    speed = record.speed
    # 64 rows of 256 tokens at 3 GFLOPs each, over 4 devices.
    model = 64 * 256 * 3e9 / 4
    assert record.work.model_flops == model
    assert speed.recomputed == pytest.approx(18e12 / model)
    assert speed.mfu == pytest.approx(model / 197e12 / 2.0)
    assert speed.mfu_bound == pytest.approx(model / 197e12 / 1.0)
    assert speed.tokens_per_second_per_chip == pytest.approx(64 * 256 / 4 / 2.0)


def test_without_a_compiler_the_estimate_decides(plan: Plan) -> None:
    record = plan(compiled=False)
    assert record.speed is None and record.fits
    # State, activations, and the larger of logits and of gradients with a layer.
    assert record.estimate.peak == (1 + 1 + 3) * GIB
    found = record.as_dict()
    assert found["memory"] is None and found["cost"] is None and found["effort"] is None


def test_a_plan_that_is_too_large_does_not_fit(plan: Plan) -> None:
    assert plan(peak=15 * GIB).fits
    assert not plan(peak=16 * GIB).fits
