"""Costs as JSON and as lines for people."""

import dataclasses
import json

import pytest

from sharding.chips import chip_for
from sharding.program.report import Collective, Kind, Loop, ProgramCost, Roofline, Seconds

GATHER = Collective(Kind.ALL_GATHER, ("fsdp", "tensor"), 8, 3.0, 2.0, 8e9, 7e9, 0.04)
SUM = Collective(Kind.ALL_REDUCE, ("slice",), 2, 1.0, 0.0, 1e9, 1e9, 0.3, True, 1.0)
UNKNOWN = Collective(Kind.PERMUTE, None, 2, 1.0, 1.0, 1e6, 1e6, 0.001)
COST = ProgramCost(
    chip=chip_for("v5p"), devices=16, matmul_flops=4e13, kernel_flops=1e13, hbm_bytes=2e11, cycles=1e9,
    collectives=(GATHER, SUM, UNKNOWN), loops=(Loop("while.1", 32, "stated by the compiler", 1.0, 0),),
    seconds=Seconds(matmul=0.25, kernels=0.05, exposed_collectives=0.125),
    roofline=Roofline(compute=0.1, hbm=0.07, links=0.3), warnings=("something was assumed",),
)  # fmt: skip


def test_times_add_up() -> None:
    assert COST.seconds.total == 0.425
    assert sum(dataclasses.astuple(Seconds(*map(float, range(1, 9))))) == 36
    assert COST.flops == 5e13
    assert COST.roofline.bound == 0.3


def test_collectives_are_found_by_kind_and_by_axis() -> None:
    assert COST.by_kind(Kind.ALL_GATHER) == (GATHER,)
    assert COST.over("tensor") == COST.over("fsdp") == (GATHER,)
    assert COST.over("slice") == (SUM,) and COST.over("data") == ()


def test_json_holds_all_of_it() -> None:
    told = json.loads(json.dumps(COST.as_dict()))
    assert told["chip"] == "v5p" and told["devices"] == 16 and told["matmul_flops"] == 4e13
    assert told["seconds"]["total"] == pytest.approx(0.425) and told["seconds"]["kernels"] == 0.05
    assert told["roofline"] == {"compute": 0.1, "hbm": 0.07, "links": 0.3, "slices": 0.0, "bound": 0.3}
    assert told["collectives"][0] == {
        "kind": "all-gather", "axes": ["fsdp", "tensor"], "size": 8, "count": 3, "asynchronous": 2,
        "payload_bytes": 8e9, "sent_bytes": 7e9, "seconds": 0.04, "between_slices": False,
        "scattered": 0.0,
    }  # fmt: skip
    assert told["loops"][0]["trips"] == 32 and told["warnings"] == ["something was assumed"]


def test_lines() -> None:
    assert str(COST) == "\n".join(COST.lines())
    assert COST.lines() == [
        "50.00 TFLOPs a v5p, 200.00 GB of HBM traffic, simulated 425.00 ms (no less than 300.00)",
        "time, ms: matmul 250.00, kernels 50.00, exposed collectives 125.00",
        "all-gather over fsdp x tensor: 3 times (2 asynchronous), 8.000 GB, 7.000 GB sent, 40.00 ms on the links",
        "all-reduce over slice between slices: "
        "1 times (0 asynchronous, 1 scattered), 1.000 GB, 1.000 GB sent, 300.00 ms on the links",
        "collective-permute over groups of 2: 1 times (1 asynchronous), 0.001 GB, 0.001 GB sent, 1.00 ms on the links",
        "note: something was assumed",
    ]
