"""Bytes that instructions move to and from a memory.

An operation reads its operands and writes its result; a fusion reads of each operand what it uses, a slice being less
than the whole, and an update in place writes no more than the update.
"""

from collections.abc import Collection

from sharding.program.shapes import Space, size
from sharding.program.text import Computation, Instruction, Module

HBM = (Space.HBM,)
_SLICES = frozenset(("dynamic-slice", "slice", "gather"))
_VIEWS = frozenset(("bitcast", "reshape"))
# Views of views, and fusions in fusions, are followed so far.
_DEEPEST = 8


class Traffic:
    """Counts the traffic of a module's instructions; `collectives` are opcodes whose bytes go over links instead."""

    def __init__(self, module: Module, collectives: Collection[str]) -> None:
        self._module, self._collectives = module, frozenset(collectives)
        self._reads: dict[tuple[str, str], float] = {}

    def moved(self, where: Computation, instruction: Instruction, spaces: Collection[int] = HBM) -> float:
        """Bytes that an instruction of a computation reads from and writes to these memories."""
        if instruction.opcode == "fusion":
            return self._of_fusion(where, instruction, spaces)
        if instruction.opcode in _SLICES:
            return 2 * size(instruction.type, spaces)
        if instruction.opcode == "dynamic-update-slice":
            return 2 * size(where.operand(instruction, 1).type, None)
        read = sum(size(where.named[name].type, spaces) for name in instruction.operands if name in where.named)
        return size(instruction.type, spaces) + read

    def _of_fusion(self, where: Computation, fusion: Instruction, spaces: Collection[int]) -> float:
        inner = self._module.called(fusion, "calls")
        total = 0.0
        for index, name in enumerate(fusion.operands):
            outside = size(where.named[name].type, spaces)
            if outside and index in inner.parameters:
                total += min(outside, self._read(inner, inner.parameters[index].name))
        root = inner.root
        results = [inner.named[name] for name in root.operands] if root.opcode == "tuple" else [root]
        for array, result in zip(fusion.arrays, results, strict=False):
            if array.space in spaces:
                written = self._written(inner, result)
                total += array.padded_bytes if written is None else min(array.padded_bytes, written)
        return total

    def _read(self, where: Computation, name: str) -> float:
        """Bytes of a value that a fused computation uses."""
        key = where.name, name
        if key not in self._reads:
            self._reads[key] = self._used(where, name)
        return self._reads[key]

    def _used(self, where: Computation, name: str) -> float:
        whole = size(where.named[name].type, None)
        total = 0.0
        for user in where.users.get(name, ()):
            if user.opcode in _SLICES:
                total += size(user.type, None)
            elif user.opcode == "dynamic-update-slice" and user.operands[0] == name:
                pass  # updated in place
            elif user.opcode in _VIEWS:
                total += min(whole, self._read(where, user.name))
            elif user.opcode == "tuple" or user.opcode in self._collectives:
                pass  # handed on
            elif user.opcode == "fusion":
                inner = self._module.called(user, "calls")
                total += sum(
                    self._read(inner, inner.parameters[index].name)
                    for index, operand in enumerate(user.operands)
                    if operand == name and index in inner.parameters
                )
            else:
                return whole
            if total >= whole:
                return whole
        return total

    def _written(self, where: Computation, result: Instruction, depth: int = 0) -> float | None:
        """Bytes that a fused computation writes for one of its results; None if that cannot be told."""
        if depth < _DEEPEST:
            if result.opcode == "tuple":
                return None
            if result.opcode == "dynamic-update-slice":
                return size(where.operand(result, 1).type, None)
            if result.opcode in _VIEWS and result.operands:
                return self._written(where, where.operand(result, 0), depth + 1)
            if result.opcode in self._collectives or result.opcode == "parameter":
                return 0.0
            if result.opcode == "fusion":
                inner = self._module.called(result, "calls")
                return self._written(inner, inner.root, depth + 1)
        return size(result.type, None)
