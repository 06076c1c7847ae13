"""Seconds of operations that the TensorCore does itself.

The compiler writes estimated cycles beside fusions, matrix products and some vector operations. Those of large matrix
products come out near the peak; those of operations bound by memory are several times what the memory needs, so they
count only up to a multiple of the operation's own roofline. Kernels and operations without cycles are priced by their
roofline. The constants are those by which two programs compiled by one libtpu are compared; they are no measurement.
"""

import dataclasses
import enum

from sharding.chips import Chip
from sharding.program.collectives import kind_of
from sharding.program.flops import product_flops
from sharding.program.kernels import kernel_flops
from sharding.program.report import Kind
from sharding.program.shapes import Space, size
from sharding.program.text import Computation, Instruction, Module, ProgramError
from sharding.program.traffic import Traffic

# Parts of the peak rates that are reached where the compiler tells nothing.
MATMUL_EFFICIENCY, HBM_EFFICIENCY, KERNEL_EFFICIENCY = 0.85, 0.85, 0.55
# Bandwidth of on-chip memory, in that of HBM.
ON_CHIP = 10.0
# The most that estimated cycles count, in the operation's own roofline.
MATMUL_CAP, MEMORY_CAP = 1.6, 1.3
# Results of at most so many bytes, of operations without cycles or products, are bookkeeping.
BOOKKEEPING = 4096

# What takes no time: names for values, and values that are made where they are used.
FREE = frozenset((
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "partition-id", "replica-id", "after-all",
    "iota", "opt-barrier", "domain", "get-dimension-size", "add-dependency",
))  # fmt: skip
_LAYOUT = frozenset((
    "copy", "transpose", "dynamic-slice", "dynamic-update-slice", "slice", "concatenate", "pad", "reshape",
))  # fmt: skip
_MOVES = _LAYOUT | FREE | {"broadcast", "reverse", "convert", "gather", "scatter"}
# Custom calls that only tell the compiler something.
_MARKERS = frozenset(("AllocateBuffer", "ConcatBitcast", "AssumeGatherIndicesInBound", "Sharding", "GetFirst"))


class Category(enum.Enum):
    """What an operation is, by the field of `Seconds` that its time goes to."""

    MATMUL = "matmul"
    KERNEL = "kernels"
    ELEMENTWISE = "elementwise"
    COPY = "copies"
    COLLECTIVE = "collectives"


@dataclasses.dataclass(frozen=True)
class Work:
    """An operation, once; `cycles` is None where the compiler estimated none."""

    category: Category
    seconds: float
    flops: float
    hbm_bytes: float
    cycles: int | None


@dataclasses.dataclass(frozen=True)
class Inside:
    """What a computation holds, those that it fuses included: FLOPs, opcodes, and collectives with their places."""

    flops: float
    opcodes: frozenset[str]
    collectives: tuple[tuple[Computation, Instruction], ...]


class Prices:
    """Prices operations of a module on a chip; `notes` gathers what was not understood."""

    def __init__(self, module: Module, chip: Chip) -> None:
        self._module, self._chip = module, chip
        self._traffic = Traffic(module, [kind.value for kind in Kind])
        self._insides: dict[str, Inside] = {}
        self.notes: dict[str, None] = {}

    def inside(self, where: Computation, instruction: Instruction) -> Inside:
        """What an instruction of a computation holds: itself, or all that it fuses."""
        if instruction.opcode == "fusion":
            return self.held(self._module.called(instruction, "calls"))
        return Inside(self._flops(where, instruction), frozenset((instruction.opcode,)), ())

    def held(self, where: Computation) -> Inside:
        """What a computation holds."""
        if where.name not in self._insides:
            flops, opcodes, collectives = 0.0, set(), []
            for each in where.instructions:
                inner = self.inside(where, each)
                flops, opcodes = flops + inner.flops, opcodes | inner.opcodes | {each.opcode}
                collectives += inner.collectives
                if each.opcode != "fusion" and kind_of(each.opcode) and not each.opcode.endswith("-start"):
                    collectives.append((where, each))
            self._insides[where.name] = Inside(flops, frozenset(opcodes), tuple(collectives))
        return self._insides[where.name]

    def work(self, where: Computation, instruction: Instruction) -> Work | None:
        """An operation of a computation; None if it is bookkeeping."""
        if instruction.opcode == "custom-call":
            return self._kernel(where, instruction)
        inner, cycles = self.inside(where, instruction), instruction.number("estimated_cycles")
        if cycles is None and not inner.flops and size(instruction.type, None) <= BOOKKEEPING:
            return None
        hbm = self._traffic.moved(where, instruction)
        on_chip = self._traffic.moved(where, instruction, (Space.ON_CHIP,))
        memory = hbm / (self._chip.hbm_bandwidth * HBM_EFFICIENCY) + on_chip / (self._chip.hbm_bandwidth * ON_CHIP)
        arithmetic = inner.flops / self._chip.peak_flops
        if cycles is None:
            seconds = max(arithmetic / MATMUL_EFFICIENCY, memory)
        else:
            floor = max(arithmetic, memory)
            seconds = min(cycles / self._chip.clock, floor * (MATMUL_CAP if inner.flops else MEMORY_CAP))
            seconds = max(floor, seconds)
        return Work(_category(instruction, inner), seconds, inner.flops, hbm, cycles)

    def copied(self, nbytes: float) -> float:
        """Seconds in which HBM takes or gives so many bytes."""
        return nbytes / (self._chip.hbm_bandwidth * HBM_EFFICIENCY)

    def fetched(self, nbytes: float) -> float:
        """Seconds in which the host's memory takes or gives so many bytes."""
        return nbytes / self._chip.pcie_bandwidth

    def _kernel(self, where: Computation, call: Instruction) -> Work | None:
        target = _target(call)
        if target in _MARKERS:
            return None
        flops, hbm = kernel_flops(where, call), self._traffic.moved(where, call)
        if flops is None:
            name = call.name.rstrip(".0123456789")
            self.notes[f"kernel {name} ({target}): FLOPs unknown, priced by its bytes"] = None
        seconds = max((flops or 0.0) / (self._chip.peak_flops * KERNEL_EFFICIENCY), self.copied(hbm))
        return Work(Category.KERNEL, seconds, flops or 0.0, hbm, None)

    def _flops(self, where: Computation, instruction: Instruction) -> float:
        try:
            return product_flops(where, instruction)
        except (ProgramError, KeyError, ValueError, IndexError) as error:
            # A count that lacks one product is worth more than none, if it says so.
            self.notes[f"{instruction.opcode} {instruction.name}: FLOPs not counted ({error})"] = None
            return 0.0


def _target(call: Instruction) -> str:
    before, _, after = call.attributes.partition('custom_call_target="')
    return after.partition('"')[0] if after else "?"


def _category(instruction: Instruction, inner: Inside) -> Category:
    if inner.collectives and not inner.flops:
        return Category.COLLECTIVE
    if inner.flops:
        return Category.MATMUL
    if instruction.opcode == "fusion":
        moves = inner.opcodes <= _MOVES and bool(inner.opcodes & _LAYOUT)
    else:
        moves = instruction.opcode in _MOVES
    return Category.COPY if moves else Category.ELEMENTWISE
