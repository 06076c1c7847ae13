"""A stack's layers over the stages of a pipeline: micro-batches go from stage to stage, and all stages work at once.

All micro-batches go forward, then all go back, which is what the gradient of a loop over ticks is (GPipe, Huang 2019;
as a loop in which all stages are one program: GSPMD, Xu 2021, section 3.3).
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int

from model.dealing import deals, dealt
from model.pipeline_schedule import Schedule
from sharding.axes import BATCH, STAGES, mesh, replicas, spread

Rows = TypeVar("Rows")
# What a stage makes of its rows, and tells of them by layer; the number is of these rows alone.
Stage = Callable[[Rows, Any, Any, Int[Array, ""]], tuple[Rows, Any]]


def pipelined(stage: Stage[Rows], schedule: Schedule, rows: Rows, layers: Any, shared: Any) -> tuple[Rows, Any]:
    """What all stages together make of `rows`, and what they tell.

    At each tick a stage sends what it made on to the next. What waits and what is done goes round the other way:
    micro-batches come to the first stage when their time has come, and from the last one home. Between devices of
    different stages nothing else is sent, save layers: with more than one repeat these go once to the stage that
    computes them, from the one where they lie, and their gradients back. Ticks at which a stage has nothing to do it
    spends on rows that have been or will be computed, and forgets.

    Replicas that hold all weights work apart, so that gradients are summed over them once, and not at every tick; not
    so if there is anything to tell, which is of all rows of a micro-batch.

    The backward pass is that of the loop. It keeps, for each of `ticks` ticks, what the stage's rematerialisation
    keeps of a micro-batch and a part of the layers: 1 / (1 - bubble) times what a device keeps that has the same
    share of the batch, and all layers.

    Args:
      stage: what a stage does: rows of one micro-batch, the part of its own of `layers`, `shared`, and a number that
        no others have, to rows of the same shapes and what there is to tell: means over tokens, [layers, ...].
      schedule: from `schedule_of`.
      rows: arrays [batch, ...].
      layers: arrays [layers, ...].
      shared: arrays that all stages have.

    Returns:
      The rows after all stages, and what was told, [layers, ...], as the mean over micro-batches.
    """
    stages, names, whole = schedule.stages, spread(STAGES), mesh()
    assert whole is not None
    told_shapes = _told_shapes(stage, schedule, rows, layers, shared)
    apart = _outermost_replicas(names) if not jax.tree.leaves(told_shapes) else ()
    onwards = [(i, (i + 1) % stages) for i in range(stages)]
    back = [(to, i) for i, to in onwards]

    def of_device(number: Array, replica: Array, homes: Rows, layers: Any, shared: Any) -> tuple[Rows, Any]:
        number, homes = number[0], jax.tree.map(lambda x: x[0], homes)
        first, last = number == 0, number == stages - 1
        parts = dealt(layers, deals(stages, schedule.repeats), number, names)

        def tick(carry: _Carry, time: Array) -> tuple[_Carry, None]:
            arrived, made, ring, homes, told = carry
            group, within = time // schedule.round, time % schedule.round
            turn = schedule.at(time, number)
            # What the last stage made for the last time starts home as the first stage takes the next that wait.
            started, done = first & (within < stages), last & (within < stages)
            ring, taken = _either(done, made, _sent(ring, names, back)), _either(started, ring, arrived)
            made, found = stage(taken, _part(parts, turn.part), shared, turn.micro + schedule.micro * replica[0])
            told = jax.tree.map(lambda all, new: all.at[turn.part].add(jnp.where(turn.real, new, 0)), told, found)
            # All are home, and the next ones wait there.
            slot, full = (group + 1) % schedule.homes, within == stages - 1
            waiting = _at(homes, slot)
            homes = _put(homes, slot, _either(full, ring, waiting))
            return _Carry(_sent(made, names, onwards), made, _either(full, waiting, ring), homes, told), None

        # Before anything has arrived, real rows: what is made of them is forgotten, and is no NaN.
        some = _at(homes, 0)
        nothing = jax.tree.map(lambda leaf: jnp.zeros((schedule.repeats, *leaf.shape), leaf.dtype), told_shapes)
        start = _Carry(some, some, some, homes, nothing)
        end, _ = jax.lax.scan(tick, start, jnp.arange(schedule.ticks))
        ring = _either(last, end.made, _sent(end.ring, names, back))
        homes = _put(end.homes, (schedule.homes + 1) % schedule.homes, ring)
        # What waited in one place has come home to the place after the next.
        homes = jax.tree.map(lambda x: jnp.roll(x, -2, axis=0)[None], homes)
        told = jax.tree.map(lambda x: x / schedule.micro, end.told)
        return homes, dealt(told, deals(stages, schedule.repeats), number, names, back=True)

    staged, at_home, everywhere = PartitionSpec(names), PartitionSpec(names, None, apart), PartitionSpec()
    along = jax.shard_map(
        of_device, mesh=whole, in_specs=(staged, PartitionSpec(apart), at_home, staged, everywhere),
        out_specs=(at_home, staged), axis_names={*names, *apart}, check_vma=False,
    )  # fmt: skip
    replica = jnp.arange(math.prod(whole.shape[name] for name in apart))
    homes, told = along(jnp.arange(stages), replica, _to_homes(rows, schedule), layers, shared)
    return _from_homes(homes, schedule), told


class _Carry(NamedTuple):
    """What a device has between ticks.

    Attributes:
      arrived: from the stage before.
      made: at the last tick.
      ring: of the micro-batches that are about to start, or have just been done.
      homes: micro-batches, [homes, ...]: those that have not started, and those that are done.
      told: sums of what there was to tell, [repeats, layers, ...].
    """

    arrived: Any
    made: Any
    ring: Any
    homes: Any
    told: Any


def _told_shapes(stage: Stage[Rows], schedule: Schedule, rows: Rows, layers: Any, shared: Any) -> Any:
    def share(parts: int) -> Any:
        return lambda x: jax.ShapeDtypeStruct((x.shape[0] // parts, *x.shape[1:]), x.dtype)

    one, part = jax.tree.map(share(schedule.micro), rows), jax.tree.map(share(schedule.round), layers)
    return jax.eval_shape(stage, one, part, shared, jax.ShapeDtypeStruct((), jnp.int32))[1]


def _outermost_replicas(names: tuple[str, ...]) -> tuple[str, ...]:
    """Replicas that divide the rows of a micro-batch before any other mesh axis does."""
    rule, free = [name for name in spread(BATCH) if name not in names], replicas()
    return tuple(itertools.takewhile(lambda name: name in free, rule))


def _either(condition: Array, one: Rows, other: Rows) -> Rows:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)


def _at(rows: Rows, place: Any) -> Rows:
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, place, keepdims=False), rows)


def _put(rows: Rows, place: Any, one: Rows) -> Rows:
    return jax.tree.map(lambda x, new: jax.lax.dynamic_update_index_in_dim(x, new, place, 0), rows, one)


def _part(parts: Any, number: Any) -> Any:
    """One part of a stage's layers. Where there is but one, nothing is picked, and no gradient put back."""
    return jax.tree.map(lambda x: x[0] if x.shape[0] == 1 else _at(x, number), parts)


def _sent(rows: Rows, names: tuple[str, ...], pairs: list[tuple[int, int]]) -> Rows:
    return jax.tree.map(lambda x: jax.lax.ppermute(x, names, pairs), rows)


def _around(names: tuple[str, ...]) -> tuple[int, int]:
    """Parts of the batch that mesh axes outside of the stages' make, and those within."""
    rule, whole = spread(BATCH), mesh()
    assert whole is not None
    at = rule.index(names[0])
    return math.prod(whole.shape[name] for name in rule[:at]), math.prod(
        whole.shape[name] for name in rule[at + len(names) :]
    )


def _to_homes(rows: Rows, schedule: Schedule) -> Rows:
    """Rows [batch, ...] as [stages, micro-batches at home, rows, ...], each on the device that has it."""
    outer, inner = _around(spread(STAGES))

    def split(x: Array) -> Array:
        parts = x.reshape(outer, schedule.stages, inner, schedule.homes, -1, *x.shape[1:])
        parts = jnp.moveaxis(parts, (1, 3), (0, 1))
        return parts.reshape(schedule.stages, schedule.homes, -1, *x.shape[1:])

    return jax.tree.map(split, rows)


def _from_homes(homes: Rows, schedule: Schedule) -> Rows:
    """The other way."""
    outer, inner = _around(spread(STAGES))

    def joined(x: Array) -> Array:
        parts = x.reshape(schedule.stages, schedule.homes, outer, inner, -1, *x.shape[3:])
        return jnp.moveaxis(parts, (0, 1), (1, 3)).reshape(-1, *x.shape[3:])

    return jax.tree.map(joined, homes)
