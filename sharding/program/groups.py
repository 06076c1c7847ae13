"""Which devices take part in a collective together, and which mesh axes they lie along.

XLA writes groups as lists, `{{0,1},{2,3}}`; as a reshaped and transposed count, `[2,2]<=[2,2]T(1,0)`; or as axes of a
mesh of its own, `mesh['axis_0'=2,'axis_1'=2] {'axis_1'}`, whose axes may be split, `'axis_0':(2)4` being the part of 4
that follows a part of 2 (xla/hlo/ir/replica_group.h and mesh_and_axis.h in its sources).
"""

import functools
import math
import re

import jax
import numpy as np

Groups = tuple[tuple[int, ...], ...]

_LISTS = re.compile(r"\{(\{[\d,{} ]*\})\}")
_MESH = re.compile(r"mesh\[([^\]]*)\](?:,? *device_ids=\(([^{}]*)\))? *\{([^}]*)\}")
_COUNTED = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_AXIS = re.compile(r"'?([\w.\-]+)'?(?::\((\d+)\)(\d+))?")
_NOTATIONS = (_LISTS, _COUNTED, _MESH)
_WHERE = re.compile(r"\b(replica_groups|source_target_pairs)=")


def groups(attributes: str, devices: int) -> Groups:
    """Groups of a collective with these attributes, each of partition numbers; pairs, for a permutation.

    Without a list all devices are one group.
    """
    return _read(written(attributes), devices)


def written(attributes: str) -> str:
    """The groups of a collective as the text has them; empty where it has none."""
    found = _WHERE.search(attributes)
    notation = found and next(filter(None, (each.match(attributes, found.end()) for each in _NOTATIONS)), None)
    return notation[0] if notation else ""


def positions(mesh: jax.sharding.Mesh, partitions: int) -> np.ndarray | None:
    """Where in a mesh, counted with its last axis fastest, the partitions of a program lie; None if they do not.

    A program for several slices of a pod is that of one of them: its partitions are the devices of the first.
    """
    if mesh.size == partitions:
        return np.arange(partitions)
    of_first = np.flatnonzero(_slices(mesh) == _slices(mesh)[0])
    return of_first if of_first.size == partitions else None


def axes(of: Groups, mesh: jax.sharding.Mesh, where: np.ndarray | None = None) -> tuple[str, ...]:
    """Mesh axes along which the members of a group differ, outermost first; `where` are `positions`, if not all."""
    sizes = tuple(mesh.shape.values())
    varies = np.zeros(len(sizes), bool)
    for members in _rectangles(of):
        found = np.stack(np.unravel_index(members if where is None else where[members], sizes))
        varies |= (found != found[:, :, :1]).any(axis=(1, 2))
    return tuple(name for name, differs in zip(mesh.axis_names, varies, strict=True) if differs)


def slice_axes(mesh: jax.sharding.Mesh) -> tuple[str, ...]:
    """Mesh axes along which the slice changes that devices are in."""
    where = _slices(mesh).reshape(mesh.devices.shape)
    return tuple(
        name for dim, name in enumerate(mesh.axis_names) if (where != np.take(where, [0], axis=dim)).any()
    )


def _slices(mesh: jax.sharding.Mesh) -> np.ndarray:
    return np.array([getattr(device, "slice_index", None) or 0 for device in mesh.devices.flat])


def _rectangles(of: Groups) -> list[np.ndarray]:
    """Groups as arrays [groups, members], one for each size of group."""
    by_size: dict[int, list[tuple[int, ...]]] = {}
    for group in of:
        by_size.setdefault(len(group), []).append(group)
    return [np.asarray(found) for size, found in by_size.items() if size]


@functools.lru_cache(maxsize=4096)
def _read(text: str, devices: int) -> Groups:
    if found := _LISTS.match(text):
        return tuple(_numbers(each) for each in re.findall(r"\{([\d, ]*)\}", found[1]))
    if found := _COUNTED.match(text):
        shape, counted, order = (_numbers(part) for part in found.groups(default=""))
        return _rows(_counted(shape, counted, order))
    if found := _MESH.match(text):
        return _of_mesh(*found.groups())
    return (tuple(range(devices)),)


def _counted(shape: tuple[int, ...], counted: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """Numbers from 0 on, in an array of shape `counted`, transposed and then reshaped."""
    numbers = np.arange(math.prod(counted)).reshape(counted)
    return numbers.transpose(order or range(numbers.ndim)).reshape(shape)


def _of_mesh(axes_text: str, ids: str | None, chosen: str) -> Groups:
    named = re.findall(r"'?([\w.\-]+)'?=(\d+)", axes_text)
    sizes = tuple(int(size) for _, size in named)
    numbers = np.arange(math.prod(sizes))
    if ids and (found := re.match(r"\[([\d,]+)\](?:T\(([\d,]+)\))?", ids)):
        numbers = _counted((-1,), _numbers(found[1]), _numbers(found[2] or ""))
    elif ids:
        numbers = np.array(_numbers(ids))
    # Every axis is split into the parts that are chosen of it and those that are not.
    wanted: dict[str, list[tuple[int, int]]] = {}
    order: list[tuple[str, int]] = []
    for name, before, part in _AXIS.findall(chosen):
        whole = sizes[[other for other, _ in named].index(name)]
        wanted.setdefault(name, []).append((int(before or 1), int(part or whole)))
        order.append((name, int(before or 1)))
    shape: list[int] = []
    where: dict[tuple[str, int], int] = {}
    rest: list[int] = []
    for name, size in named:
        done = 1
        for before, part in sorted(wanted.get(name, [])):
            rest.append(len(shape))
            shape.append(before // done)
            where[name, before] = len(shape)
            shape.append(part)
            done = before * part
        rest.append(len(shape))
        shape.append(int(size) // done)
    members = [where[each] for each in order]
    size = math.prod(shape[each] for each in members)
    return _rows(numbers.reshape(shape).transpose(rest + members).reshape(-1, size))


def _rows(numbers: np.ndarray) -> Groups:
    return tuple(tuple(row) for row in numbers.tolist())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each.strip())
