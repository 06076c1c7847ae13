"""Collectives between slices of a pod, as a compiled program has them.

The program of each slice sends to and receives from its host, whose runtime carries the bytes over the data-centre
network. The `send` says which collective that is, and who takes part: devices by number, `{{100000,200000},...}` or
`{{100000->200000},...}`, or whole slices, `{1,2}x{0:3}`: in every slice the device of the same number.
"""

import dataclasses
import re

import jax

from sharding.program import groups
from sharding.program.report import Kind
from sharding.program.text import Instruction

_TYPE = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_WHOLE = re.compile(r'_xla_megascale_target="\{([\d,:]+)\}x')
_LISTED = re.compile(r"_xla_megascale_target=(\{\{[\d,{}>\- ]*\}\})")
_RENDEZVOUS = re.compile(r'_xla_host_transfer_rendezvous="([^"]*)"')
_KINDS = {
    "ALL_REDUCE": Kind.ALL_REDUCE, "ALL_GATHER": Kind.ALL_GATHER, "REDUCE_SCATTER": Kind.REDUCE_SCATTER,
    "ALL_TO_ALL": Kind.ALL_TO_ALL, "ONE_TO_ONE": Kind.PERMUTE,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Carried:
    """A collective that the hosts carry between slices: over which mesh axes, and with how many taking part."""

    kind: Kind
    axes: tuple[str, ...] | None
    size: int


def rendezvous(instruction: Instruction) -> str | None:
    """The name by which a `send` and its `recv` belong together."""
    found = _RENDEZVOUS.search(instruction.attributes)
    return found[1] if found else None


def carried(send: Instruction, mesh: jax.sharding.Mesh | None) -> Carried | None:
    """The collective that a `send` begins; None where it is for the host itself."""
    kind, whole, listed = (each.search(send.attributes) for each in (_TYPE, _WHOLE, _LISTED))
    if kind is None or kind[1] not in _KINDS:
        return None
    if whole:
        axes, size = groups.slice_axes(mesh) if mesh is not None else None, _counted(whole[1])
    else:
        written = re.findall(r"\{([\d,>\- ]+)\}", listed[1]) if listed else []
        members = tuple(tuple(map(int, re.findall(r"\d+", group))) for group in written)
        axes, size = _axes(members, mesh), max(map(len, members), default=1)
    return Carried(_KINDS[kind[1]], axes, size)


def _axes(members: groups.Groups, mesh: jax.sharding.Mesh | None) -> tuple[str, ...] | None:
    """Mesh axes along which devices differ that are given by their own numbers."""
    if mesh is None:
        return None
    where = {device.id: position for position, device in enumerate(mesh.devices.flat)}
    if not all(each in where for group in members for each in group):
        return None
    return groups.axes(tuple(tuple(where[each] for each in group) for group in members), mesh)


def _counted(listed: str) -> int:
    """Numbers in a set that is written `1,2,5:8`, ranges with both ends."""
    ranges = [part.partition(":") for part in listed.split(",") if part]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)
