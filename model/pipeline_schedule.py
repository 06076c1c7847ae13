"""Who works on what in a pipeline: stages, micro-batches and rounds, and which loops over layers can be one."""

import dataclasses
from typing import NamedTuple

from jaxtyping import Array, Bool, Int

from model.config import TransformerConfig
from model.plan import runs
from model.spec import ModelSpec
from sharding.axes import BATCH, STAGES, pipeline, ways


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Which micro-batch each stage works on at each tick, and with which of its layers.

    A micro-batch goes round all stages `repeats` times, and as many of them as there are stages follow one another:
    the circular schedule (Narayanan 2021, section 2.2, forward and backward each by itself); with 1 repeat GPipe's.

    Attributes:
      stages: number of stages.
      micro: number of micro-batches, a multiple of it.
      repeats: parts of a stage's layers, each for one round.
    """

    stages: int
    micro: int
    repeats: int = 1

    @property
    def ticks(self) -> int:
        """Ticks from the first stage's first micro-batch to the last stage's last."""
        return self.micro * self.repeats + self.stages - 1

    @property
    def bubble(self) -> float:
        """Share of its ticks that a stage has nothing to do: (stages - 1) / (micro * repeats + stages - 1)."""
        return (self.stages - 1) / self.ticks

    @property
    def round(self) -> int:
        """Ticks that a stage spends on all rounds of as many micro-batches as there are stages."""
        return self.stages * self.repeats

    @property
    def homes(self) -> int:
        """Micro-batches that have their home at a stage: they start from there, and come back to it."""
        return self.micro // self.stages

    def at(self, tick: Int[Array, ""], stage: Int[Array, ""]) -> "Turn":
        """What a stage does at a tick."""
        turn = tick - stage
        micro = turn // self.round * self.stages + turn % self.stages
        return Turn((turn >= 0) & (turn < self.micro * self.repeats), micro, turn // self.stages % self.repeats)


class Turn(NamedTuple):
    """What a stage does at a tick.

    Attributes:
      real: whether there is anything to do.
      micro: number of the micro-batch.
      part: which part of its layers.
    """

    real: Bool[Array, ""]
    micro: Int[Array, ""]
    part: Int[Array, ""]


def check_stages(spec: ModelSpec, stages: int, repeats: int = 1) -> None:
    """Raises ValueError if a stack of the model has no loop over layers that so many stages could share."""
    if isinstance(spec, TransformerConfig):
        _check_stack("model", spec, stages, repeats)
        return
    for field in dataclasses.fields(spec):  # type: ignore[arg-type]
        if isinstance(stack := getattr(spec, field.name), TransformerConfig):
            _check_stack(f"model.{field.name}", stack, stages, repeats)


def _check_stack(name: str, stack: TransformerConfig, stages: int, repeats: int) -> None:
    found = runs(stack.blocks)
    if all(run.repeats % (stages * repeats) for run in found):
        loops = " and ".join(f"{run.repeats} x {run.period}" for run in found)
        turns = max(found, key=lambda run: run.repeats).period * stages * repeats
        times = f" times placement.repeats {repeats}" if repeats > 1 else ""
        raise ValueError(
            f"{name}.layers is {stack.layers}, computed in loops of {loops} layers, and placement.stage is {stages}"
            f"{times}, which divides the turns of none; a loop over a multiple of {turns} layers works"
        )


def schedule_of(rows: int, layers: int) -> Schedule | None:
    """The schedule for a loop over so many layers and a batch of so many rows; None where it is no pipeline.

    It is none without stages, and where layers or rows do not divide: then each stage computes all layers, on its
    share of the rows. Layers that divide by the stages alone go round once.
    """
    stages, asked = ways(STAGES), pipeline()
    schedule = Schedule(stages, asked.micro, 1 if layers % (stages * asked.repeats) else asked.repeats)
    divided = layers % stages == 0 and rows % (schedule.homes * ways(BATCH)) == 0
    return schedule if stages > 1 and divided else None
