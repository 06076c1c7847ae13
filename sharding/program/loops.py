"""How often the body of a while loop runs: as the compiler states it, or worked out from its counter.

Where only the data tell, the program may say what is to be expected, by a loop in a scope such as `expects_0_trips`.
"""

import dataclasses
import operator
import re

from sharding.program.text import Computation, Instruction, Module

# A value passes through these unchanged.
_SAME = frozenset(("copy", "bitcast", "convert", "reshape", "copy-start", "copy-done", "opt-barrier"))
_HOLDS = {"LT": operator.lt, "LE": operator.le, "GT": operator.gt, "GE": operator.ge, "NE": operator.ne}
_MIRRORED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "NE": "NE"}
# The scope right around a loop; those within have it among others.
_EXPECTED = re.compile(r'op_name="[^"]*expects_(\d+)_trips/while"')
# Instructions are followed through at most this many others; a scalar's history is short.
_DEEPEST = 64


@dataclasses.dataclass(frozen=True)
class Trips:
    """Times that a body runs, and how that is known; `count` is None where it is not."""

    count: int | None
    how: str


@dataclasses.dataclass(frozen=True)
class _Scalar:
    """An integer: `offset` alone, or added to element `element` of the loop's state."""

    offset: int
    element: int | None = None

    def plus(self, other: "_Scalar", sign: int) -> "_Scalar | None":
        if other.element is None:
            return _Scalar(self.offset + sign * other.offset, self.element)
        if self.element is None and sign == 1:
            return _Scalar(self.offset + other.offset, other.element)
        return None


def trips(module: Module, where: Computation, loop: Instruction) -> Trips:
    """How often a `while` of a computation runs its body, each time that it is entered."""
    stated = re.search(r"known_trip_count[^0-9]*(\d+)", f"{loop.attributes} {loop.config}")
    if stated:
        return Trips(int(stated[1]), "stated by the compiler")
    found = _Counter(module).trips(where, loop)
    expected = _EXPECTED.search(loop.attributes)
    if found.count is None and expected:
        return Trips(int(expected[1]), "taken to be as many as the program expects")
    return found


class _Counter:
    """Follows scalars through a module."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def trips(self, where: Computation, loop: Instruction) -> Trips:
        """Of a loop whose condition compares a counter, which each trip moves by a constant, with a constant."""
        body = self._module.called(loop, "body")
        compared = self._compared(self._module.called(loop, "condition"))
        if compared is None or body.root.opcode != "tuple":
            return Trips(None, "its condition compares no counter with a bound")
        left, right, direction = compared
        before = _Before(self, where, loop, body)
        left, right = before.settled(left), before.settled(right)
        if left.element is None:
            left, right, direction = right, left, _MIRRORED[direction]
        if left.element is None or right.element is not None:
            return Trips(None, "its condition compares no counter with a bound")
        step = self.value(body, body.root.operands[left.element])
        if step is None or step.element != left.element or step.offset == 0:
            return Trips(None, "its counter does not move by a constant")
        start = before.start(left.element)
        how = "worked out from its counter" + ("" if start else ", taken to start at 0")
        first = (start.offset if start else 0) + left.offset
        count = _count(first, step.offset, right.offset, direction)
        return Trips(count, "its counter moves away from its bound" if count is None else how)

    def value(self, where: Computation, name: str, depth: int = 0) -> _Scalar | None:
        """A scalar of a computation in terms of its parameter, the state of a loop; None if it is neither."""
        found = where.named.get(name)
        if found is None or depth > _DEEPEST:
            return None
        if found.opcode == "constant":
            literal = found.literal.strip()
            return _Scalar(int(literal)) if re.fullmatch(r"-?\d+", literal) else None
        if found.opcode in _SAME:
            return self.value(where, found.operands[0], depth + 1)
        if found.opcode in ("add", "subtract"):
            left, right = (self.value(where, operand, depth + 1) for operand in found.operands)
            sign = 1 if found.opcode == "add" else -1
            return left.plus(right, sign) if left and right else None
        if found.opcode == "fusion":
            return self._of_fusion(where, found, None, depth)
        if found.opcode == "get-tuple-element":
            return self._element(where, found, depth)
        return None

    def _element(self, where: Computation, found: Instruction, depth: int) -> _Scalar | None:
        index = int(found.attribute("index") or 0)
        source = where.operand(found, 0)
        if source.opcode == "parameter":
            return _Scalar(0, index)
        if source.opcode == "tuple":
            return self.value(where, source.operands[index], depth + 1)
        if source.opcode == "fusion":
            return self._of_fusion(where, source, index, depth)
        if source.opcode == "while" and self.carried(self._module.called(source, "body"), index):
            state = where.operand(source, 0)
            return self.value(where, state.operands[index], depth + 1) if state.opcode == "tuple" else None
        return None

    def _of_fusion(self, where: Computation, fusion: Instruction, index: int | None, depth: int) -> _Scalar | None:
        inner = self._module.called(fusion, "calls")
        root = inner.root
        if index is not None:
            if root.opcode != "tuple":
                return None
            root = inner.named[root.operands[index]]
        return self._inside(inner, root.name, where, fusion, depth + 1)

    def _inside(
        self, inner: Computation, name: str, where: Computation, fusion: Instruction, depth: int
    ) -> _Scalar | None:
        """A scalar of a fused computation, in terms of what surrounds the fusion."""
        found = inner.named[name]
        if depth > _DEEPEST:
            return None
        if found.opcode == "parameter":
            return self.value(where, fusion.operands[int(found.literal)], depth + 1)
        if found.opcode in _SAME:
            return self._inside(inner, found.operands[0], where, fusion, depth + 1)
        if found.opcode in ("add", "subtract"):
            left, right = (self._inside(inner, each, where, fusion, depth + 1) for each in found.operands)
            sign = 1 if found.opcode == "add" else -1
            return left.plus(right, sign) if left and right else None
        return self.value(inner, name, depth + 1) if found.opcode == "constant" else None

    def carried(self, body: Computation, index: int) -> bool:
        """Whether a body hands an element of its state on as it was."""
        if body.root.opcode != "tuple":
            return False
        return self.value(body, body.root.operands[index]) == _Scalar(0, index)

    def _compared(self, condition: Computation) -> tuple[_Scalar, _Scalar, str] | None:
        """The two sides and the direction of the comparison that is a condition's result."""
        root = condition.root
        if root.opcode == "compare":
            sides = [self.value(condition, operand) for operand in root.operands]
        elif root.opcode == "fusion":
            inner = self._module.called(root, "calls")
            compares = [each for each in inner.instructions if each.opcode == "compare"]
            if len(compares) != 1:
                return None
            sides = [self._inside(inner, each, condition, root, 0) for each in compares[0].operands]
            root = compares[0]
        else:
            return None
        direction = root.attribute("direction")
        if sides[0] is None or sides[1] is None or direction not in _HOLDS:
            return None
        return sides[0], sides[1], direction


@dataclasses.dataclass(frozen=True)
class _Before:
    """What a loop's state holds before its first trip."""

    counter: _Counter
    where: Computation
    loop: Instruction
    body: Computation

    def start(self, index: int) -> _Scalar | None:
        """The constant that an element starts as, if it is one."""
        state = self.where.operand(self.loop, 0)
        if state.opcode != "tuple":
            return None
        found = self.counter.value(self.where, state.operands[index])
        return found if found and found.element is None else None

    def settled(self, side: _Scalar) -> _Scalar:
        """A side of a comparison as a constant, where it is an element that every trip hands on."""
        if side.element is None or not self.counter.carried(self.body, side.element):
            return side
        start = self.start(side.element)
        return side if start is None else _Scalar(start.offset + side.offset)


def _count(first: int, step: int, bound: int, direction: str) -> int | None:
    """Trips of a loop whose counter, `first` and then moved by `step`, is compared with a bound before each.

    None if the loop has no end.
    """
    if not _HOLDS[direction](first, bound):
        return 0
    if direction == "NE":
        count, rest = divmod(bound - first, step)
        return None if rest or count < 0 else count
    if (step > 0) != (direction in ("LT", "LE")):
        return None
    room = abs(bound - first) + (1 if direction in ("LE", "GE") else 0)
    return -(-room // abs(step))
