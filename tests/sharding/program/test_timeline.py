"""Schedules whose times are known: what runs beside what, and what is waited for."""

import pytest

from sharding.chips import chip_for
from sharding.program.collectives import LATENCY, LINK_EFFICIENCY
from sharding.program.cost import cost_of
from sharding.program.pricing import HBM_EFFICIENCY, MATMUL_EFFICIENCY
from sharding.program.report import Kind, ProgramCost

CHIP = chip_for("v5e")
HEAD = """HloModule t, is_scheduled=true, num_partitions=8

%product (p0: bf16[8192,8192], p1: bf16[8192,8192]) -> bf16[8192,8192] {
  %p0 = bf16[8192,8192]{1,0} parameter(0)
  %p1 = bf16[8192,8192]{1,0} parameter(1)
  ROOT %c = bf16[8192,8192]{1,0} convolution(%p0, %p1), dim_labels=bf_io->bf
}

%begun (p0: bf16[8192,8192], p1: bf16[8192,8192]) -> bf16[8192,8192] {
  %p0 = bf16[8192,8192]{1,0} parameter(0)
  %p1 = bf16[8192,8192]{1,0} parameter(1)
  %c = bf16[8192,8192]{1,0} convolution(%p0, %p1), dim_labels=bf_io->bf
  ROOT %s = bf16[8192,8192]{1,0} all-reduce(%c), channel_id=7, replica_groups=[1,8]<=[8], to_apply=%add
}

%moved (p0: f32[4096]) -> f32[4096] {
  %p0 = f32[4096]{0:S(5)} parameter(0)
  ROOT %c = f32[4096]{0} copy(%p0)
}

"""
MAIN = """ENTRY %main (x: bf16[8192,8192]) -> bf16[8192,8192] {{
  %x = bf16[8192,8192]{{1,0}} parameter(0)
{lines}
  ROOT %out = bf16[8192,8192]{{1,0}} bitcast(%x)
}}
"""
PRODUCT = "bf16[8192,8192]{1,0} fusion(%x, %x), kind=kOutput, calls=%product"
ARRAY = 2 * 8192 * 8192
WORK = 2 * 8192**3 / CHIP.peak_flops / MATMUL_EFFICIENCY
# A permutation uses one link, a sum over all eight devices all four.
PERMUTED = ARRAY / (CHIP.link_bandwidth * LINK_EFFICIENCY) + LATENCY
SUMMED = 2 * ARRAY * 7 / 8 / (4 * CHIP.link_bandwidth * LINK_EFFICIENCY) + LATENCY
HBM = CHIP.hbm_bandwidth * HBM_EFFICIENCY


def permuted(name: str, pairs: str = "{{0,1},{1,0}}") -> str:
    both = "(bf16[8192,8192]{1,0}, bf16[8192,8192]{1,0})"
    return f"%{name} = {both} collective-permute-start(%x), source_target_pairs={pairs}"


def done(name: str) -> str:
    return f"%{name}.done = bf16[8192,8192]{{1,0}} collective-permute-done(%{name})"


def played(*lines: str, head: str = HEAD) -> ProgramCost:
    return cost_of(head + MAIN.format(lines="\n".join(f"  {line}" for line in lines)), CHIP)


def test_operations_follow_each_other() -> None:
    cost = played(f"%a = {PRODUCT}", f"%b = {PRODUCT}")
    assert cost.seconds.total == cost.seconds.matmul == pytest.approx(2 * WORK)
    assert cost.matmul_flops == 2 * 2 * 8192**3


def test_a_transfer_hides_behind_work() -> None:
    assert PERMUTED < WORK
    cost = played(permuted("p"), f"%a = {PRODUCT}", done("p"))
    assert cost.seconds.total == pytest.approx(WORK) and cost.seconds.exposed_collectives == 0
    (found,) = cost.collectives
    assert (found.count, found.asynchronous, found.payload_bytes) == (1, 1, ARRAY)
    assert found.seconds == pytest.approx(PERMUTED)


def test_what_work_does_not_hide_is_waited_for() -> None:
    """Two transfers over the same pairs follow each other; those over other pairs do not wait for them."""
    same = played(permuted("p"), permuted("q"), f"%a = {PRODUCT}", done("p"), done("q"))
    assert same.seconds.exposed_collectives == pytest.approx(max(0, 2 * PERMUTED - WORK)) != 0
    other = played(permuted("p"), permuted("q", "{{1,0},{0,1}}"), f"%a = {PRODUCT}", done("p"), done("q"))
    assert other.seconds.exposed_collectives == 0
    nothing = played(permuted("p"), done("p"), f"%a = {PRODUCT}")
    assert nothing.seconds.exposed_collectives == pytest.approx(PERMUTED)
    assert nothing.seconds.total == pytest.approx(PERMUTED + WORK)


def test_a_synchronous_collective_is_waited_for() -> None:
    summed = "%s = bf16[8192,8192]{1,0} all-reduce(%x), replica_groups=[1,8]<=[8], to_apply=%add"
    cost = played(summed, f"%a = {PRODUCT}")
    assert cost.seconds.exposed_collectives == pytest.approx(SUMMED)
    assert cost.by_kind(Kind.ALL_REDUCE)[0].asynchronous == 0


def test_fusions_that_share_a_channel_are_one_collective() -> None:
    fused = "bf16[8192,8192]{1,0} fusion(%x, %x), kind=kOutput, calls=%begun"
    cost = played(f"%a = {fused}", f"%b = {PRODUCT}", f"%c = {fused}")
    (found,) = cost.collectives
    assert (found.count, found.asynchronous, found.payload_bytes) == (1, 1, ARRAY)
    assert cost.seconds.total == pytest.approx(max(3 * WORK, SUMMED))


def test_loops_take_their_trips() -> None:
    body = """%body (s: (s32[], bf16[8192,8192])) -> (s32[], bf16[8192,8192]) {
  %s = (s32[], bf16[8192,8192]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %x = bf16[8192,8192]{1,0} get-tuple-element(%s), index=1
  LINES
  ROOT %t = (s32[], bf16[8192,8192]{1,0}) tuple(%i, %x)
}

"""
    lines = "\n  ".join((permuted("p"), done("p"), f"%a = {PRODUCT}"))
    loop = "%w = (s32[], bf16[8192,8192]{1,0}) while(%t), condition=%never, body=%body"
    loop += ', backend_config={"known_trip_count":{"n":"12"}}'
    cost = played("%t = (s32[], bf16[8192,8192]{1,0}) tuple(%x, %x)", loop, head=HEAD + body.replace("LINES", lines))
    assert cost.seconds.matmul == pytest.approx(12 * WORK)
    assert cost.seconds.exposed_collectives == pytest.approx(12 * PERMUTED)
    assert cost.collectives[0].count == 12
    (found,) = cost.loops
    assert (found.name, found.trips, found.entered, found.depth) == ("w", 12, 1, 0)


def test_copies_beside_work() -> None:
    """To on-chip memory HBM is read; within HBM it is read and written; a slice is as large as its result."""
    near = "%c = (f32[4096]{0:S(1)}, f32[4096]{0}, u32[]{:S(2)}) copy-start(%x)"
    cost = played(near, "%d = f32[4096]{0:S(1)} copy-done(%c)")
    assert cost.hbm_bytes == 4 * 4096 and cost.seconds.exposed_dma == pytest.approx(4 * 4096 / HBM)
    within = "%c = (f32[4096]{0}, f32[4096]{0}, u32[]{:S(2)}) copy-start(%x)"
    assert played(within, "%d = f32[4096]{0} copy-done(%c)").hbm_bytes == 2 * 4 * 4096
    cut = "%c = ((f32[4096]{0}), f32[1024]{0:S(1)}, u32[]{:S(2)}) slice-start(%x)"
    assert played(cut, "%d = f32[1024]{0:S(1)} slice-done(%c)").hbm_bytes == 4 * 1024


@pytest.mark.parametrize(
    "start",
    [
        "%c = (f32[4096]{0}, f32[4096]{0:S(5)}, u32[]{:S(2)}) copy-start(%x)",
        "%c = ((f32[4096]{0:S(5)}), f32[4096]{0}, u32[]{:S(2)}) async-start(%x), calls=%moved",
    ],
)
def test_copies_of_the_host_go_over_pcie(start: str) -> None:
    cost = played(start, "%d = f32[4096]{0} copy-done(%c)")
    assert cost.seconds.exposed_host == pytest.approx(4 * 4096 / CHIP.pcie_bandwidth)
    assert cost.hbm_bytes == 0


def test_branches_count_their_mean() -> None:
    branches = "".join(
        f"%{name} (x: bf16[8192,8192]) -> bf16[8192,8192] {{\n  %x = bf16[8192,8192]{{1,0}} parameter(0)\n"
        f"  ROOT %a = {line}\n}}\n\n"
        for name, line in (("works", PRODUCT), ("rests", "bf16[8192,8192]{1,0} bitcast(%x)"))
    )
    choice = "%c = bf16[8192,8192]{1,0} conditional(%x, %x, %x), branch_computations={%works, %rests}"
    cost = played(choice, head=HEAD + branches)
    assert cost.seconds.total == pytest.approx(WORK / 2) and cost.matmul_flops == 8192**3
    assert "a conditional counts the mean of its branches" in cost.warnings


def test_what_is_never_waited_for_is_said() -> None:
    assert any("not waited for" in warning for warning in played(permuted("p")).warnings)


SPARSE = """%sent (p0: bf16[1024,8192]) -> bf16[8192,8192] {
  %p0 = bf16[1024,8192]{1,0} parameter(0)
  ROOT %c = bf16[8192,8192]{1,0} custom-call(%p0), custom_call_target="opaque"
}, execution_thread="sparsecore"

"""


TOLD = """%done (p0: bf16[1024,8192]) -> bf16[8192,8192] {
  %p0 = bf16[1024,8192]{1,0} parameter(0)
  ROOT %g = bf16[8192,8192]{1,0} all-gather(%p0), replica_groups=[2,4]<=[8], dimensions={0}
}, execution_thread="sparsecore"

"""


def test_what_the_sparse_core_does_may_be_told() -> None:
    start = "%all-gather.1 = (bf16[1024,8192]{1,0}, bf16[8192,8192]{1,0}) async-start(%x), calls=%sent"
    end = "%d = bf16[8192,8192]{1,0} async-done(%all-gather.1)"
    told = SPARSE.replace('custom_call_target="opaque"', 'custom_call_target="opaque", called_computations={%done}')
    (found,) = played(start, end, head=HEAD + TOLD + told).collectives
    assert (found.kind, found.size, found.asynchronous, found.payload_bytes) == (Kind.ALL_GATHER, 4, 1, ARRAY)


def test_what_the_sparse_core_sends_begins_when_it_is_fed() -> None:
    """Its name and its shapes are all that is told: a gather of eight parts, from the update on."""
    start = "%all-gather.1 = (bf16[1024,8192]{1,0}, bf16[8192,8192]{1,0}) async-start(%x), calls=%sent"
    update = "%u = (bf16[1024,8192]{1,0}, bf16[8192,8192]{1,0}) async-update(%all-gather.1)"
    gathered = ARRAY * 7 / 8 / (4 * CHIP.link_bandwidth * LINK_EFFICIENCY) + LATENCY
    cost = played(start, f"%a = {PRODUCT}", update, "%d = bf16[8192,8192]{1,0} async-done(%u)", head=HEAD + SPARSE)
    assert cost.seconds.exposed_collectives == pytest.approx(gathered)
    assert [(each.kind, each.size, each.payload_bytes) for each in cost.collectives] == [(Kind.ALL_GATHER, 8, ARRAY)]
    end = "%d = bf16[8192,8192]{1,0} async-done(%all-gather.1)"
    at_once = played(start, f"%a = {PRODUCT}", end, head=HEAD + SPARSE)
    assert at_once.seconds.exposed_collectives == 0
