"""What collectives send, over which mesh axes, and how long that takes on the links.

A ring of g devices sends (g - 1) / g of the array once for an all-gather or a reduce-scatter and twice for an
all-reduce (Thakur 2005, "Optimization of Collective Communication Operations in MPICH"). An all-to-all sends as much
as a reduce-scatter, each part over a quarter of the ring on average. Between slices, which no torus joins, a host sends
as much as it would on a ring.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence

import jax

from sharding.chips import Chip
from sharding.program import groups, slices
from sharding.program.report import Kind
from sharding.program.text import Computation, Instruction

# Part of the links' rate that is reached, and what a collective takes besides, in seconds.
LINK_EFFICIENCY = 0.8
LATENCY = 5e-6

_KINDS = {kind.value: kind for kind in Kind}
_BY_NAME = re.compile("(all-gather|all-reduce|reduce-scatter|collective-permute|all-to-all)")


@dataclasses.dataclass(frozen=True)
class Exchange:
    """One collective, once.

    Attributes:
      kind: of collective.
      axes: mesh axes that it is over; None where that is not known.
      size: devices in a group.
      payload_bytes: of the whole array.
      sent_bytes: that a device must send.
      seconds: on the links.
      lane: collectives of the same lane wait for each other.
      between_slices: whether it goes over the data-centre network.
      scattered: whether it is a sum of which each device keeps a part, in one operation.
    """

    kind: Kind
    axes: tuple[str, ...] | None
    size: int
    payload_bytes: float
    sent_bytes: float
    seconds: float
    lane: str
    between_slices: bool = False
    scattered: bool = False


def kind_of(opcode: str) -> Kind | None:
    """The collective that an opcode is, or starts; None if it is none."""
    return _KINDS.get(opcode.removesuffix("-start"))


class Network:
    """Joins the devices of a program.

    Args:
      chip: that they are.
      devices: their number.
      mesh: that the program was compiled for, if axes are to be told.
    """

    def __init__(self, chip: Chip, devices: int, mesh: jax.sharding.Mesh | None) -> None:
        self._chip, self._devices, self._mesh = chip, devices, mesh
        self._where = None if mesh is None else groups.positions(mesh, devices)
        self._span = functools.lru_cache(maxsize=None)(self._spanned)

    @property
    def told(self) -> bool:
        """Whether axes can be told: the mesh is that of the program."""
        return self._mesh is not None and self._where is not None

    def exchange(self, where: Computation, instruction: Instruction) -> Exchange:
        """What a collective of a computation sends."""
        kind = _KINDS[instruction.opcode.removesuffix("-start")]
        given = [
            sum(each.bytes for each in where.named[name].arrays) for name in instruction.operands if name in where.named
        ]
        # Of a ragged all-to-all only the first operand is sent; the others say where it goes.
        taken = given[0] if kind is Kind.RAGGED_ALL_TO_ALL and given else float(sum(given))
        payload = taken
        if kind is Kind.ALL_GATHER:
            payload = float(sum(each.bytes for each in instruction.arrays))
            if instruction.opcode.endswith("-start"):  # whose result holds its operands too
                payload = max(payload - taken, taken)
        text = groups.written(instruction.attributes)
        axes, size = self._span(text)
        priced = self._priced(kind, axes, size, payload, text or "all")
        # Fused with the slice that follows; the backend emits that as one operation, a reduce-scatter in all but name.
        scattered = kind is Kind.ALL_REDUCE and where.name.startswith("all-reduce-scatter")
        return dataclasses.replace(priced, scattered=scattered)

    def sparse_core(self, start: Instruction, body: Computation, opaque: Sequence[Computation]) -> Exchange | None:
        """What a collective sends that the SparseCore does: an opaque call, of which `opaque` may say what it is.

        Where it does not, the call's name and its shapes tell the kind and the size, but not who takes part.
        """
        inside = [(where, each) for where in opaque for each in where.instructions if kind_of(each.opcode)]
        if len(inside) == 1:
            exchange = self.exchange(*inside[0])
            return dataclasses.replace(exchange, lane=f"SparseCore {exchange.size}")
        found = _BY_NAME.match(start.name)
        taken = sum(each.bytes for parameter in body.parameters.values() for each in parameter.arrays)
        made = sum(each.bytes for each in body.root.arrays)
        if found is None or not taken or not made:
            return None
        kind = _KINDS[found[1]]
        size = round(max(made / taken, taken / made))
        payload = made if kind is Kind.ALL_GATHER else taken
        return self._priced(kind, None, size if size > 1 else self._devices, payload, f"SparseCore {size}")

    def between_slices(self, where: Computation, send: Instruction) -> Exchange | None:
        """What a `send` begins that the runtime carries on between slices; None if it is something else."""
        found = slices.carried(send, self._mesh)
        if found is None:
            return None
        payload = float(sum(each.bytes for each in where.operand(send, 0).arrays))
        payload *= found.size if found.kind is Kind.ALL_GATHER else 1
        sent = _sent(found.kind, payload, found.size)
        seconds = sent / self._chip.dcn_bandwidth + LATENCY
        return Exchange(found.kind, found.axes, found.size, payload, sent, seconds, "between slices", True)

    def _spanned(self, text: str) -> tuple[tuple[str, ...] | None, int]:
        """Mesh axes and devices of a group of a collective whose groups are written so."""
        found = groups.groups(f"replica_groups={text}", self._devices)
        return groups.axes(found, self._mesh, self._where) if self.told else None, max(map(len, found))

    def _priced(self, kind: Kind, axes: tuple[str, ...] | None, size: int, payload: float, lane: str) -> Exchange:
        chip, sent = self._chip, _sent(kind, payload, size)
        if kind in (Kind.ALL_TO_ALL, Kind.RAGGED_ALL_TO_ALL):
            sent *= max(1.0, size ** (1 / chip.torus) / 4)
        # A group that is a whole slice has all links of a chip, one that is a part of it those of one dimension.
        links = 1 if kind is Kind.PERMUTE else chip.links if size >= self._devices else 2
        seconds = sent / (links * chip.link_bandwidth * LINK_EFFICIENCY) + LATENCY
        return Exchange(kind, axes, size, payload, sent, seconds, lane)


def _sent(kind: Kind, payload: float, size: int) -> float:
    """Bytes that each of `size` devices sends for a payload."""
    if kind is Kind.PERMUTE:
        return payload
    return payload * (size - 1) / size * (2 if kind is Kind.ALL_REDUCE else 1)
