"""What a compiled program sends between devices: kinds, mesh axes and sizes, read from its text."""

import collections
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "ragged-all-to-all",
         "collective-broadcast")  # fmt: skip
_CALL = re.compile(rf"^\s*(?:ROOT )?%?[\w.\-]+ = (.*?) ({'|'.join(KINDS)})(-start)?\((.*)$")
_SHAPE = re.compile(r"\b[a-z]\w*\[([\d,]*)\]")
_IOTA = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_LISTS = re.compile(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{}\s]*?\})\}")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? ?\{([^}]*)\}")


class Collective(NamedTuple):
    """One array that is sent.

    Attributes:
      kind: as XLA calls it.
      axes: of the mesh, along which devices talk.
      size: numbers in the larger of what goes in and what comes out on one device.
    """

    kind: str
    axes: tuple[str, ...]
    size: int


def collectives(text: str, mesh: Mesh) -> list[Collective]:
    """Those of a program that was compiled for `mesh`, each as often as it is written; loops are not counted out."""
    found = []
    for line in text.splitlines():
        if (call := _CALL.match(line)) is None:
            continue
        result, kind, _, rest = call.groups()
        groups = _groups(rest, mesh.size)
        axes = _axes(groups, mesh)
        if not axes:
            continue
        sizes = [_size(dims) for dims in _SHAPE.findall(result)]
        scattered = len(groups[0]) if kind == "reduce-scatter" else 1
        found += [Collective(kind, axes, size * scattered) for size in sizes]
    return found


def counted(found: list[Collective]) -> Iterator[str]:
    """Lines for people: what there is, and how often."""
    for (kind, axes, size), times in sorted(collections.Counter(found).items()):
        yield f"{times} x {kind} of {size} over {', '.join(axes)}"


def _groups(text: str, devices: int) -> list[list[int]]:
    if found := _IOTA.search(text):
        shape, dims, turn = (None if part is None else _ints(part) for part in found.groups())
        return _iota(dims, turn).reshape(shape[0], -1).tolist()
    if found := _MESH.search(text):
        return _of_mesh(*found.groups())
    if found := _LISTS.search(text):
        return [_ints(group) for group in re.findall(r"\{([\d,]+)\}", found[1])]
    return [list(range(devices))]


def _of_mesh(sizes: str, dims: str | None, turn: str | None, chosen: str) -> list[list[int]]:
    """Groups along some axes of a mesh of XLA's own, or along parts of them: 'axis':(before)size."""
    axes = [(name, int(size)) for name, size in re.findall(r"'(\w+)'=(\d+)", sizes)]
    parts = re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", chosen)
    shape, along = [], []
    for name, size in axes:
        mine = sorted((int(before or 1), int(width or size)) for other, before, width in parts if other == name)
        done = 1
        for before, width in mine:
            shape += [before // done, width]
            along += [False, True]
            done = before * width
        shape.append(size // done)
        along.append(False)
    devices = np.arange(math.prod(shape)) if dims is None else _iota(_ints(dims), turn and _ints(turn))
    order = [i for i, inside in enumerate(along) if not inside] + [i for i, inside in enumerate(along) if inside]
    width = math.prod(size for size, inside in zip(shape, along, strict=True) if inside)
    return devices.reshape(shape).transpose(order).reshape(-1, width).tolist()


def _iota(dims: list[int], turn: list[int] | None) -> np.ndarray:
    whole = np.arange(math.prod(dims)).reshape(dims)
    return (whole if turn is None else whole.transpose(turn)).reshape(-1)


def _axes(groups: list[list[int]], mesh: Mesh) -> tuple[str, ...]:
    """Mesh axes on which some two devices of a group differ."""
    places = np.stack(np.unravel_index(np.arange(mesh.size), mesh.devices.shape), axis=1)
    differ = np.zeros(places.shape[1], bool)
    for group in groups:
        differ |= (places[group] != places[group[0]]).any(0)
    return tuple(name for name, different in zip(mesh.axis_names, differ, strict=True) if different)


def _ints(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _size(dims: str) -> int:
    return math.prod(_ints(dims)) if dims else 1
