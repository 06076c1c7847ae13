"""The text of a compiled HLO module, as computations of instructions.

The grammar is what XLA's `HloModule::ToString` writes for a compiled program (https://openxla.org/xla/operation_semantics
and xla/hlo/parser in its sources): one instruction a line, in the order of the schedule, save that attributes of
Pallas kernels may hold line breaks.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping

from sharding.program.shapes import Array, arrays

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
# A tuple's type ends at the first bracket that a blank and an opcode follow; inside it no blank follows a bracket.
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([a-z][\w\-]*)\(", re.DOTALL)
_BEGINS = re.compile(r"\s+(?:ROOT )?%?[\w.\-]+ = ")
_REFERENCE = re.compile(r"%([\w.\-]+)")
_CONFIG = ", backend_config="


class ProgramError(ValueError):
    """Text that is no compiled HLO module."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One instruction.

    Attributes:
      name: unique in its computation.
      opcode: such as `fusion` or `all-gather-start`.
      type: of its result, as written; `arrays` has it parsed.
      operands: names of instructions of the same computation.
      literal: what stands between the brackets: the value of a constant, the number of a parameter.
      attributes: what follows, without the backend's part.
      config: the backend's part, JSON.
      root: whether it is the result of its computation.
    """

    name: str
    opcode: str
    type: str
    operands: tuple[str, ...]
    literal: str
    attributes: str
    config: str
    root: bool

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Arrays of its result, those of tuples in order."""
        return arrays(self.type)

    def attribute(self, key: str) -> str | None:
        """Value of an attribute that is one word, a computation's name without its `%`."""
        found = re.search(rf"\b{key}=%?([\w.\-]+)", self.attributes)
        return found[1] if found else None

    def called(self, key: str) -> tuple[str, ...]:
        """Names of computations in an attribute that is a list."""
        found = re.search(rf"\b{key}=\{{([^}}]*)\}}", self.attributes)
        return tuple(_REFERENCE.findall(found[1])) if found else ()

    def number(self, key: str) -> int | None:
        """Value of a key of the backend's part that is a number, in quotation marks or not."""
        found = re.search(rf'"{key}":"?(-?\d+)', self.config)
        return int(found[1]) if found else None


@dataclasses.dataclass(frozen=True, eq=False)
class Computation:
    """A computation: instructions in the order of the schedule."""

    name: str
    instructions: tuple[Instruction, ...]

    @functools.cached_property
    def named(self) -> Mapping[str, Instruction]:
        """Instructions by name."""
        return {each.name: each for each in self.instructions}

    @functools.cached_property
    def root(self) -> Instruction:
        """The instruction whose value is the computation's."""
        return next((each for each in self.instructions if each.root), self.instructions[-1])

    @functools.cached_property
    def parameters(self) -> Mapping[int, Instruction]:
        """Parameters by number."""
        return {int(each.literal): each for each in self.instructions if each.opcode == "parameter"}

    @functools.cached_property
    def users(self) -> Mapping[str, tuple[Instruction, ...]]:
        """Instructions that read a value, by its name; each once."""
        found: dict[str, list[Instruction]] = {}
        for each in self.instructions:
            for operand in dict.fromkeys(each.operands):
                found.setdefault(operand, []).append(each)
        return {name: tuple(uses) for name, uses in found.items()}

    def operand(self, instruction: Instruction, index: int) -> Instruction:
        """The instruction whose value is operand `index` of another."""
        return self.named[instruction.operands[index]]


@dataclasses.dataclass(frozen=True, eq=False)
class Module:
    """A compiled program.

    Attributes:
      computations: by name.
      entry: where it begins.
      scheduled: whether instructions stand in the order in which they run.
      partitions: devices that run it together.
    """

    computations: Mapping[str, Computation]
    entry: Computation
    scheduled: bool
    partitions: int

    def called(self, instruction: Instruction, key: str) -> Computation:
        """The computation that an attribute of an instruction names.

        Raises ProgramError if there is none.
        """
        name = instruction.attribute(key)
        found = None if name is None else self.computations.get(name)
        if found is None:
            raise ProgramError(f"instruction {instruction.name}: {key} is {name!r}, and no computation has that name")
        return found


def parse(text: str | Iterable[str]) -> Module:
    """Reads a module from its text, or from its lines (an open file).

    Raises ProgramError if there is no entry computation in it.
    """
    lines = text.split("\n") if isinstance(text, str) else text
    header, name, entry, is_entry = "", None, None, False
    computations: dict[str, Computation] = {}
    instructions: list[Instruction] = []
    pending: list[str] = []
    for line in lines:
        line = line.rstrip("\n")
        if name is None:
            if line.startswith("HloModule"):
                header = line
            elif line and line[0] not in " \t" and (found := _COMPUTATION.match(line)):
                name, is_entry, instructions = found[2], bool(found[1]), []
        elif line == "}" or line.startswith("}, execution_thread"):
            _finish(pending, instructions)
            computations[name] = Computation(name, tuple(instructions))
            entry = computations[name] if is_entry else entry
            name = None
        elif _BEGINS.match(line):
            _finish(pending, instructions)
            pending.append(line)
        elif pending:
            pending.append(line)
    if entry is None:
        raise ProgramError("text of a program: found no ENTRY computation; it is what compiled.as_text() returns")
    partitions = re.search(r"num_partitions=(\d+)", header)
    return Module(computations, entry, "is_scheduled=true" in header, int(partitions[1]) if partitions else 1)


def _finish(pending: list[str], instructions: list[Instruction]) -> None:
    """Reads the instruction whose lines were gathered, if any."""
    if not pending:
        return
    line = pending[0] if len(pending) == 1 else "".join(pending)
    pending.clear()
    found = _INSTRUCTION.match(line)
    if found is None:
        raise ProgramError(f"text of a program: {line.strip()[:80]!r} is no instruction")
    root, name, kind, opcode = found.groups()
    close = _closing(line, found.end())
    literal = line[found.end() : close]
    attributes, _, config = line[close + 1 :].partition(_CONFIG)
    operands = tuple(_REFERENCE.findall(literal))
    instructions.append(Instruction(name, opcode, kind, operands, literal, attributes, config, root is not None))


def _closing(line: str, start: int) -> int:
    """Where the bracket is that closes the one before `start`."""
    depth, at = 1, start
    while True:
        close = line.find(")", at)
        if close < 0:
            raise ProgramError(f"text of a program: a bracket of {line.strip()[:80]!r} is not closed")
        depth += line.count("(", at, close) - 1
        if depth == 0:
            return close
        at = close + 1
