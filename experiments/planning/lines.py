"""A plan as lines for people."""

from collections.abc import Iterator

from experiments.planning.record import Record
from sharding.program.report import Collective

_GIB = 2**30


def told(record: Record) -> Iterator[str]:
    """All there is to say, a topic after the other."""
    work, topology = record.work, record.request.topology
    mesh = " x ".join(f"{axis} {size}" for axis, size in work.mesh.items())
    yield f"{record.request.config} on {topology}: {topology.chips} chips, mesh {mesh}"
    yield (
        f"  {work.weights:,} weights; {work.rows:,} rows of {work.sequence:,} tokens a step"
        + (f", in {work.accumulate} micro-batches" if work.accumulate > 1 else "")
        + (f"; remat {work.remat}" if work.remat else "")
    )
    yield from (f"  {note}" for note in record.notes)
    yield from _memory(record)
    yield verdict(record)
    if record.effort is not None:
        effort, how = record.effort, "scheduled" if record.scheduled_only else "compiled"
        yield (
            f"{how} in {effort.trace_seconds:.1f} + {effort.compile_seconds:.1f} s, "
            f"with {effort.memory_bytes / _GIB:.1f} GiB of this machine's memory"
        )
    if record.cost is not None:
        yield from _speed(record)


def parts(record: Record) -> dict[str, int]:
    """Memory by category, in bytes; by the compiler, or by closed form where it was not asked."""
    found, rough = record.occupancy, record.estimate
    if found is None:
        return {
            "weights, optimizer": rough.state, "batch": rough.batch, "gradients": rough.gradients + rough.accumulated,
            "copies of weights": rough.copies, "activations": rough.activations, "a layer's own": rough.layer,
            "logits": rough.logits,
        }  # fmt: skip
    return {
        "weights": found.weights, "optimizer": found.optimizer, "objective and guard": found.other,
        "batch": found.batch, "gradients, activations, temporaries": found.temporary, "program": found.program,
    }  # fmt: skip


def verdict(record: Record) -> str:
    """Whether it fits, in one sentence."""
    usable = record.request.topology.usable_bytes
    used = record.estimate.peak if record.occupancy is None else record.occupancy.used
    left, of = (usable - used) / _GIB, f"of {usable / _GIB:.2f} GiB"
    by = " by closed form" if record.occupancy is None else ""
    advice = f"; {record.advice}" if record.advice else ""
    if record.fits:
        return f"fits{by}, with {left:.2f} {of} to spare ({left * _GIB / usable:.0%})"
    if left >= 0:
        return f"does not fit: the compiler found no room in {usable / _GIB:.2f} GiB{advice}"
    return f"does not fit{by}: {-left:.2f} GiB are missing, {used / _GIB:.2f} are needed {of}{advice}"


def collective_line(found: Collective) -> str:
    """Collectives of one kind over the same mesh axes."""
    axes = " x ".join(found.axes or ()) or "devices"
    how = "all beside arithmetic" if found.asynchronous >= found.count else (
        "all waited for" if not found.asynchronous else f"{found.asynchronous:g} beside arithmetic"
    )
    return (
        f"{found.kind.value} over {axes}{' between slices' if found.between_slices else ''}: "
        f"{found.payload_bytes / 1e9:.3f} GB in {found.count:g}, {how}"
    )


def _memory(record: Record) -> Iterator[str]:
    held = parts(record)
    usable, found = record.request.topology.usable_bytes, record.occupancy
    yield f"memory of a device, GiB of {usable / _GIB:.2f} that a program may have"
    width = max(map(len, held))
    for name, size in held.items():
        yield f"  {name:<{width}}  {size / _GIB:8.3f}"
    if found is not None:
        yield f"  {'at most at once':<{width}}  {found.peak / _GIB:8.3f}"
        if found.host:
            yield f"  {'in the memory of its host':<{width}}  {found.host / _GIB:8.3f}"
    yield f"  {'at most, by closed form':<{width}}  {record.estimate.peak / _GIB:8.3f}"


def _speed(record: Record) -> Iterator[str]:
    speed, cost = record.speed, record.cost
    assert speed is not None and cost is not None
    yield "a step"
    yield (
        f"  FLOPs of a device: {cost.flops / 1e12:.2f} T, {speed.recomputed:.3f} times the model's "
        f"{record.work.model_flops / 1e12:.2f} T"
    )
    yield f"  HBM traffic: {cost.hbm_bytes / 1e9:.2f} GB"
    yield from (f"  {collective_line(found)}" for found in cost.collectives)
    yield (
        f"  simulated: {speed.seconds:.4f} s, MFU {speed.mfu:.1%}, "
        f"{speed.tokens_per_second_per_chip:,.0f} tokens per second per chip"
    )
    yield f"  no schedule is faster than {speed.bound:.4f} s, MFU {speed.mfu_bound:.1%}"
    yield from (f"  note: {warning}" for warning in cost.warnings)
