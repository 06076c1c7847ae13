"""A plan as lines."""

from collections.abc import Callable

from experiments.planning.lines import told, verdict
from experiments.planning.record import Record

GIB = 2**30
Plan = Callable[..., Record]


def test_memory_speed_and_verdict_are_told(plan: Plan) -> None:
    lines = list(told(plan()))
    assert lines[0] == "small on v5e:2x2: 4 chips, mesh data 2 x fsdp 2"
    assert "  weights                                 1.000" in lines
    # 15.75 less 9 at the most and a quarter of program.
    assert "fits, with 6.50 of 15.75 GiB to spare (41%)" in lines
    assert "  FLOPs of a device: 18.00 T, 1.465 times the model's 12.29 T" in lines
    assert "  all-reduce over data: 2.000 GB in 4, all beside arithmetic" in lines
    assert "  simulated: 2.0000 s, MFU 3.1%, 2,048 tokens per second per chip" in lines
    assert "  no schedule is faster than 1.0000 s, MFU 6.2%" in lines


def test_what_is_missing_is_told(plan: Plan) -> None:
    assert verdict(plan(peak=17 * GIB)) == (
        "does not fit: 1.50 GiB are missing, 17.25 are needed of 15.75 GiB"
    )
    assert verdict(plan(compiled=False)) == "fits by closed form, with 10.75 of 15.75 GiB to spare (68%)"
