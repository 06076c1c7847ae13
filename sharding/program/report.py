"""What a program costs, as data: arithmetic, memory traffic, collectives by mesh axis, and seconds."""

import dataclasses
import enum
from typing import Any

from sharding.chips import Chip


class Kind(enum.Enum):
    """Collectives, by XLA's names."""

    ALL_GATHER = "all-gather"
    ALL_REDUCE = "all-reduce"
    REDUCE_SCATTER = "reduce-scatter"
    PERMUTE = "collective-permute"
    ALL_TO_ALL = "all-to-all"
    RAGGED_ALL_TO_ALL = "ragged-all-to-all"
    BROADCAST = "collective-broadcast"


@dataclasses.dataclass(frozen=True)
class Collective:
    """All collectives of one kind over the same mesh axes, in one call of the program, for one device.

    Attributes:
      kind: of collective.
      axes: mesh axes that vary within a group, outermost first; None where no mesh was given.
      size: devices in a group.
      count: times that it runs.
      asynchronous: of these, how many run beside arithmetic.
      payload_bytes: of the whole array: an all-gather's result, what goes into any other.
      sent_bytes: that a device must send.
      seconds: on the links, waited for or not.
      between_slices: whether a group has devices of several slices.
      scattered: of an all-reduce, how many times the compiler fused it with a slice of its result; it counts as a whole
        sum, and as a reduce-scatter would send half.
    """

    kind: Kind
    axes: tuple[str, ...] | None
    size: int
    count: float
    asynchronous: float
    payload_bytes: float
    sent_bytes: float
    seconds: float
    between_slices: bool = False
    scattered: float = 0.0


@dataclasses.dataclass(frozen=True)
class Loop:
    """A while loop: `trips` times its body, whenever it is entered; `how` says how that is known."""

    name: str
    trips: int
    how: str
    entered: float
    depth: int


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Simulated time of one call by what the device does, which adds up to `total`.

    Attributes:
      matmul: fusions with matrix products in them.
      kernels: Pallas kernels, of which the compiler tells nothing.
      elementwise: arithmetic bound by memory.
      copies: changes of layout, slices, concatenations.
      collectives: fusions that hold a collective and no matrix product.
      exposed_collectives: waiting for collectives.
      exposed_dma: waiting for copies between HBM and on-chip memory.
      exposed_host: waiting for copies to and from the host's memory.
    """

    matmul: float = 0.0
    kernels: float = 0.0
    elementwise: float = 0.0
    copies: float = 0.0
    collectives: float = 0.0
    exposed_collectives: float = 0.0
    exposed_dma: float = 0.0
    exposed_host: float = 0.0

    @property
    def total(self) -> float:
        """Of one call."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds that each resource needs at least, if it did nothing but this program's work at its full rate.

    Attributes:
      compute: arithmetic.
      hbm: memory traffic.
      links: what is sent within a slice, over all links of a chip.
      slices: what is sent between slices.
    """

    compute: float
    hbm: float
    links: float
    slices: float = 0.0

    @property
    def bound(self) -> float:
        """No schedule is faster."""
        return max(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class ProgramCost:
    """What one call of a program costs one device; loops are counted as often as they run.

    Attributes:
      chip: that it was priced for.
      devices: that run it together.
      matmul_flops: of matrix products and convolutions, two a multiply-add.
      kernel_flops: of Pallas kernels: as they state it, or worked out from the shapes of attention.
      hbm_bytes: read and written.
      cycles: the compiler's estimate, of operations for which it has one.
      collectives: by kind and mesh axes, most bytes first.
      loops: in the order of the schedule.
      seconds: simulated.
      roofline: bounds.
      warnings: what was not understood, and what was assumed.
    """

    chip: Chip
    devices: int
    matmul_flops: float
    kernel_flops: float
    hbm_bytes: float
    cycles: float
    collectives: tuple[Collective, ...]
    loops: tuple[Loop, ...]
    seconds: Seconds
    roofline: Roofline
    warnings: tuple[str, ...] = ()

    @property
    def flops(self) -> float:
        """Of matrix products and kernels."""
        return self.matmul_flops + self.kernel_flops

    def by_kind(self, kind: Kind) -> tuple[Collective, ...]:
        """Collectives of one kind."""
        return tuple(found for found in self.collectives if found.kind is kind)

    def over(self, axis: str) -> tuple[Collective, ...]:
        """Collectives over a mesh axis, alone or with others."""
        return tuple(found for found in self.collectives if axis in (found.axes or ()))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = dataclasses.asdict(self, dict_factory=_plain)
        plain["chip"] = self.chip.name
        plain["seconds"]["total"] = self.seconds.total
        plain["roofline"]["bound"] = self.roofline.bound
        return plain

    def lines(self) -> list[str]:
        """A table for people."""
        gb, ms = 1e-9, 1e3
        rows = [
            f"{self.flops * 1e-12:.2f} TFLOPs a {self.chip.name}, {self.hbm_bytes * gb:.2f} GB of HBM traffic, "
            f"simulated {self.seconds.total * ms:.2f} ms (no less than {self.roofline.bound * ms:.2f})",
            "time, ms: " + ", ".join(
                f"{name.replace('_', ' ')} {value * ms:.2f}"
                for name, value in dataclasses.asdict(self.seconds).items() if value
            ),
        ]  # fmt: skip
        for found in self.collectives:
            scattered = f", {found.scattered:g} scattered" if found.scattered else ""
            axes = f"groups of {found.size}" if found.axes is None else " x ".join(found.axes) or "no axis"
            rows.append(
                f"{found.kind.value} over {axes}{' between slices' if found.between_slices else ''}: "
                f"{found.count:g} times ({found.asynchronous:g} asynchronous{scattered}), "
                f"{found.payload_bytes * gb:.3f} GB, {found.sent_bytes * gb:.3f} GB sent, "
                f"{found.seconds * ms:.2f} ms on the links"
            )
        return rows + [f"note: {warning}" for warning in self.warnings]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _plain(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, enum.Enum) else value for name, value in fields}
