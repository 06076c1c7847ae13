"""What a device holds while it does a step, by category, and whether that is more than it has."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax

from sharding.topology import Topology
from train.memory import held_by
from train.state import TrainState

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# The TPU compiler's two ways to say that a program wants more than there is.
_WANTED = (
    re.compile(r"total memory required[^(]*\(([\d.]+)([KMGT]?)\)"),
    re.compile(r"Used ([\d.]+)([KMGT]?) of [\d.]+[KMGT]? hbm"),
)


@dataclasses.dataclass(frozen=True)
class Occupancy:
    """Bytes of one device.

    Attributes:
      usable: that a program may have.
      weights: the weights that learn.
      optimizer: what the optimizer keeps.
      other: what the objective and the guard keep.
      batch: the rows of a step.
      temporary: gradients, activations and other temporaries, as the compiler planned them.
      program: the program itself.
      peak: all of it at the most, as the compiler says.
      host: held in the host's memory, for this device.
      planned: whether the compiler found room; if not, `peak` is what it asked for.
    """

    usable: int
    weights: int
    optimizer: int
    other: int
    batch: int
    temporary: int
    program: int
    peak: int
    host: int = 0
    planned: bool = True

    @property
    def used(self) -> int:
        """What has to be free for it."""
        return self.peak + self.program

    @property
    def margin(self) -> int:
        """Bytes that are left; negative for those that are missing."""
        return self.usable - self.used

    @property
    def fits(self) -> bool:
        """Whether there is room."""
        return self.planned and self.margin >= 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "used": self.used, "margin": self.margin, "fits": self.fits}


def occupied(
    compiled: jax.stages.Compiled | None,
    state: TrainState,
    batch: Mapping[str, Any],
    topology: Topology,
    wanted: int = 0,
) -> Occupancy:
    """The memory of a step: what it is given by its shardings, the rest from the compiler.

    Args:
      compiled: the step; None if the compiler found no room for it.
      state: shapes with shardings.
      batch: shapes with shardings.
      topology: that it is compiled for.
      wanted: bytes that the compiler asked for in vain.
    """
    if compiled is None:
        return dataclasses.replace(filled(wanted, state, batch, topology), planned=False)
    planned = compiled.memory_analysis()
    temporary = int(planned.temp_size_in_bytes)
    # What comes out where nothing went in: the metrics.
    extra = int(planned.output_size_in_bytes - planned.alias_size_in_bytes)
    peak = int(planned.peak_memory_in_bytes) or int(planned.argument_size_in_bytes) + temporary + extra
    host = planned.host_argument_size_in_bytes + planned.host_temp_size_in_bytes
    host += planned.host_output_size_in_bytes - planned.host_alias_size_in_bytes
    program = int(planned.generated_code_size_in_bytes)
    return dataclasses.replace(
        filled(peak, state, batch, topology), temporary=temporary, program=program, host=int(host)
    )


def filled(peak: int, state: TrainState, batch: Mapping[str, Any], topology: Topology) -> Occupancy:
    """The memory of a step of which no more is known than its peak: temporary is what it is not given.

    Args:
      peak: bytes of a device.
      state: shapes with shardings.
      batch: shapes with shardings.
      topology: that it is for.
    """
    weights, optimizer, rows = (held_by(tree) for tree in (state.weights, state.optimizer, dict(batch)))
    other = held_by((state.objective, state.guard, state.step, state.position))
    temporary = max(0, peak - weights - optimizer - other - rows)
    return Occupancy(topology.usable_bytes, weights, optimizer, other, rows, temporary, 0, peak)


def too_large(error: Exception) -> int | None:
    """Bytes that the compiler wanted, of its error that there are not so many; None for any other error."""
    said = str(error)
    if "RESOURCE_EXHAUSTED" not in said:
        return None
    for pattern in _WANTED:
        if found := pattern.search(said):
            return int(float(found[1]) * _UNITS[found[2]])
    return None
