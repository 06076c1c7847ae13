"""What is known of a step on a topology, as one value: for people, for a page, and as JSON whose keys stay."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from experiments.planning.estimate import Estimate
from experiments.planning.occupancy import Occupancy
from experiments.planning.step import Effort
from sharding.program.report import ProgramCost
from sharding.topology import Topology

# Of the keys of `Record.as_dict`; counted up when one goes or changes its meaning.
SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
      config: `--config`.
      changes: each a `--set`.
      topology: where it is to run.
    """

    config: str
    changes: tuple[str, ...]
    topology: Topology

    def train_command(self) -> list[str]:
        """The command that runs it there."""
        changes = [f"--set={change}" for change in self.changes]
        return ["python", "-m", "train", f"--config={self.config}", *changes, "--distributed", "--run=gs://BUCKET/RUN"]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step is asked to do.

    Attributes:
      mesh: mesh axis -> devices.
      rows: in a step, over all devices.
      sequence: tokens in a row.
      accumulate: micro-batches.
      weights: number of them.
      flops_per_token: the model's, to train on a token.
      remat: what the backward pass keeps, by name; empty for a model without such a choice.
    """

    mesh: Mapping[str, int]
    rows: int
    sequence: int
    accumulate: int
    weights: int
    flops_per_token: float
    remat: str = ""

    @property
    def devices(self) -> int:
        """Devices that share the work."""
        total = 1
        for size in self.mesh.values():
            total *= size
        return total

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.rows * self.sequence

    @property
    def model_flops(self) -> float:
        """The model's FLOPs in a step, for one device."""
        return self.flops_per_token * self.tokens / self.devices


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast a step is.

    Attributes:
      seconds: simulated.
      bound: seconds that no schedule goes below.
      mfu: the model's FLOPs over what the device could do in that time (Chowdhery 2022, appendix B).
      mfu_bound: the same at the bound.
      tokens_per_second_per_chip: of a chip, which may be two devices.
      recomputed: FLOPs of the program over the model's.
    """

    seconds: float
    bound: float
    mfu: float
    mfu_bound: float
    tokens_per_second_per_chip: float
    recomputed: float


@dataclasses.dataclass(frozen=True)
class Record:
    """A step on a topology.

    Attributes:
      request: what was asked for.
      work: what a step does.
      occupancy: memory as the compiler planned it; None if it was not asked.
      estimate: memory by closed form.
      cost: of the compiled program; None without one.
      effort: of compiling.
      options: the TPU compiler's, besides its defaults.
      notes: sentences on what the placement cannot divide.
      advice: if it does not fit, what does.
      scheduled_only: whether the program was compiled no further than its schedule: seconds lack the compiler's cycles.
    """

    request: Request
    work: Work
    occupancy: Occupancy | None
    estimate: Estimate
    cost: ProgramCost | None = None
    effort: Effort | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    advice: str = ""
    scheduled_only: bool = False

    @property
    def fits(self) -> bool:
        """As the compiler says; by the estimate where it was not asked."""
        if self.occupancy is not None:
            return self.occupancy.fits
        return self.estimate.peak <= self.request.topology.usable_bytes

    @property
    def speed(self) -> Speed | None:
        """None without a compiled program."""
        if self.cost is None:
            return None
        topology, seconds, bound = self.request.topology, self.cost.seconds.total, self.cost.roofline.bound
        least = self.work.model_flops / topology.chip.peak_flops
        return Speed(
            seconds, bound, least / seconds, least / bound, self.work.tokens / topology.chips / seconds,
            self.cost.flops / self.work.model_flops,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        topology = self.request.topology
        speed = self.speed
        return {
            "schema": SCHEMA,
            "config": self.request.config,
            "changes": list(self.request.changes),
            "topology": {
                "name": topology.name, "slices": topology.slices, "chips": topology.chips,
                "chip": topology.chip.name, "devices": self.work.devices, "usable_bytes": topology.usable_bytes,
            },
            "work": {
                **dataclasses.asdict(self.work), "mesh": dict(self.work.mesh), "tokens": self.work.tokens,
                "model_flops_per_device": self.work.model_flops,
            },
            "fits": self.fits,
            "memory": None if self.occupancy is None else self.occupancy.as_dict(),
            "estimate": self.estimate.as_dict(),
            "speed": None if speed is None else dataclasses.asdict(speed),
            "cost": None if self.cost is None else self.cost.as_dict(),
            "effort": None if self.effort is None else dataclasses.asdict(self.effort),
            "compiler_options": dict(self.options),
            "notes": list(self.notes),
            "advice": self.advice,
            "scheduled_only": self.scheduled_only,
            "command": self.request.train_command(),
        }  # fmt: skip

    def as_json(self) -> str:
        """The same as text."""
        return json.dumps(self.as_dict(), indent=1) + "\n"
