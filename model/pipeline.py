"""A stack's layers over the stages of a pipeline: micro-batches go from stage to stage, and all stages work at once.

GPipe (Huang 2019): all micro-batches go forward, then all go back, which is what the gradient of a loop over ticks is.
A stage holds contiguous layers, as weights lie that are divided over their axis of layers.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int

from model.config import TransformerConfig
from model.plan import runs
from model.spec import ModelSpec
from sharding.axes import BATCH, STAGES, mesh, micro_batches, spread, ways

Rows = TypeVar("Rows")
# What a stage makes of its rows, and tells of them by layer, with the number of their micro-batch.
Stage = Callable[[Rows, Any, Any, Int[Array, ""]], tuple[Rows, Any]]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Which micro-batch each stage works on at each tick: stage s on micro-batch t - s at tick t.

    Attributes:
      stages: number of stages.
      micro: number of micro-batches, a multiple of it.
    """

    stages: int
    micro: int

    @property
    def ticks(self) -> int:
        """Ticks from the first stage's first micro-batch to the last stage's last."""
        return self.micro + self.stages - 1

    @property
    def bubble(self) -> float:
        """Share of its ticks that a stage has nothing to do: (stages - 1) / (micro + stages - 1)."""
        return (self.stages - 1) / self.ticks

    @property
    def held(self) -> int:
        """Micro-batches that have their home at a stage: they start from there, and come back to it."""
        return self.micro // self.stages


def check_stages(spec: ModelSpec, stages: int) -> None:
    """Raises ValueError if a stack of the model has no loop over layers that so many stages could share."""
    if isinstance(spec, TransformerConfig):
        _check_stack("model", spec, stages)
        return
    for field in dataclasses.fields(spec):  # type: ignore[arg-type]
        if isinstance(stack := getattr(spec, field.name), TransformerConfig):
            _check_stack(f"model.{field.name}", stack, stages)


def _check_stack(name: str, stack: TransformerConfig, stages: int) -> None:
    found = runs(stack.blocks)
    if all(run.repeats % stages for run in found):
        loops = " and ".join(f"{run.repeats} x {run.period}" for run in found)
        turns = max(found, key=lambda run: run.repeats).period * stages
        raise ValueError(
            f"{name}.layers is {stack.layers}, computed in loops of {loops} layers, and placement.stage is {stages}, "
            f"which divides the turns of none; a loop over a multiple of {turns} layers works"
        )


def schedule_of(rows: int, layers: int) -> Schedule | None:
    """The schedule for a loop over so many layers and a batch of so many rows; None where it is no pipeline.

    It is none without stages, and where layers or rows do not divide: then each stage computes all layers, on its
    share of the rows.
    """
    schedule = Schedule(ways(STAGES), micro_batches())
    divided = layers % schedule.stages == 0 and rows % (schedule.held * ways(BATCH)) == 0
    return schedule if schedule.stages > 1 and divided else None


def pipelined(stage: Stage[Rows], schedule: Schedule, rows: Rows, layers: Any, shared: Any) -> tuple[Rows, Any]:
    """What all stages together make of `rows`, and what they tell.

    At each tick a stage sends what it made on to the next. What waits and what is done goes round the other way:
    micro-batches come to the first stage when their time has come, and from the last one home. Between devices of
    different stages nothing else is sent. Ticks at which a stage has nothing to do it spends on rows that have been
    or will be computed, and forgets.

    The backward pass is that of the loop. It keeps, for each of `ticks` ticks, what the stage's rematerialisation
    keeps of one micro-batch: 1 / (1 - bubble) times what a device keeps that has the same share of the batch and all
    layers.

    Args:
      stage: what a stage does: rows of one micro-batch, its own part of `layers`, `shared`, and the number of the
        micro-batch, to rows of the same shapes and what there is to tell: means over tokens [layers of the stage, ...].
      schedule: from `schedule_of`.
      rows: arrays [batch, ...].
      layers: arrays [layers, ...].
      shared: arrays that all stages have.

    Returns:
      The rows after all stages, and what was told, [layers, ...], as the mean over micro-batches.
    """
    stages, names = schedule.stages, spread(STAGES)
    whole = mesh()
    assert whole is not None
    forwards = [(i, i + 1) for i in range(stages - 1)]
    backwards = [(i + 1, i) for i in range(stages - 1)]

    def of_device(number: Array, homes: Rows, layers: Any, shared: Any) -> tuple[Rows, Any]:
        number, homes = number[0], jax.tree.map(lambda x: x[0], homes)
        first, last = number == 0, number == stages - 1

        def tick(carry: tuple[Rows, Rows, Any], time: Array) -> tuple[tuple[Rows, Rows, Any], None]:
            arrived, homes, told = carry
            slot, micro = time % schedule.held, time - number
            waiting = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, slot, keepdims=False), homes)
            made, found = stage(_either(first, waiting, arrived), layers, shared, micro)
            real = (micro >= 0) & (micro < schedule.micro)
            told = jax.tree.map(lambda total, new: total + jnp.where(real, new, 0), told, found)
            home = _either(last, made, _sent(waiting, names, backwards))
            homes = jax.tree.map(lambda x, new: jax.lax.dynamic_update_index_in_dim(x, new, slot, 0), homes, home)
            return (_sent(made, names, forwards), homes, told), None

        # Before anything has arrived, real rows: what is made of them is forgotten, and is no NaN.
        arrived = jax.tree.map(lambda x: x[0], homes)
        shapes = jax.eval_shape(stage, arrived, layers, shared, number)[1]
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        (_, homes, told), _ = jax.lax.scan(tick, (arrived, homes, nothing), jnp.arange(schedule.ticks))
        # The last tick of a home's first micro-batch is stages - 1 ticks after the first, and so is its slot.
        homes = jax.tree.map(lambda x: jnp.roll(x, 1 - stages, axis=0)[None], homes)
        return homes, jax.tree.map(lambda x: x / schedule.micro, told)

    staged, everywhere = PartitionSpec(names), PartitionSpec()
    along = jax.shard_map(
        of_device, mesh=whole, in_specs=(staged, staged, staged, everywhere), out_specs=staged,
        axis_names=set(names), check_vma=False,
    )  # fmt: skip
    homes, told = along(jnp.arange(stages), _to_homes(rows, schedule), layers, shared)
    return _from_homes(homes, schedule), told


def _either(condition: Array, one: Rows, other: Rows) -> Rows:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)


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
        parts = x.reshape(outer, schedule.stages, inner, schedule.held, -1, *x.shape[1:])
        parts = jnp.moveaxis(parts, (1, 3), (0, 1))
        return parts.reshape(schedule.stages, schedule.held, -1, *x.shape[1:])

    return jax.tree.map(split, rows)


def _from_homes(homes: Rows, schedule: Schedule) -> Rows:
    """The other way."""
    outer, inner = _around(spread(STAGES))

    def joined(x: Array) -> Array:
        parts = x.reshape(schedule.stages, schedule.held, outer, inner, -1, *x.shape[3:])
        return jnp.moveaxis(parts, (0, 1), (1, 3)).reshape(-1, *x.shape[3:])

    return jax.tree.map(joined, homes)
