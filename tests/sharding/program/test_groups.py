"""Groups of devices in the three notations, against their definitions spelled out device by device."""

import itertools
import math
from unittest import mock

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh

from sharding.program.groups import axes, groups, positions, slice_axes, written

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def digits(number: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Position of a number that counts with the last axis fastest."""
    found = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        found.append(digit)
    return tuple(reversed(found))


def number(position: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    """The inverse of `digits`."""
    total = 0
    for digit, size in zip(position, sizes, strict=True):
        total = total * size + digit
    return total


def sets(found: tuple[tuple[int, ...], ...]) -> set[frozenset[int]]:
    return {frozenset(group) for group in found}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("channel_id=1, replica_groups={{0,1},{2,3}}, to_apply=%add", ((0, 1), (2, 3))),
        ("replica_groups={{0},{1,2,3}}", ((0,), (1, 2, 3))),
        ("replica_groups=[2,2]<=[4], use_global_device_ids=true", ((0, 1), (2, 3))),
        ("replica_groups=[2,2]<=[2,2]T(1,0), dimensions={0}", ((0, 2), (1, 3))),
        ("replica_groups=mesh['axis_0'=4] {'axis_0'}, to_apply=%add", ((0, 1, 2, 3),)),
        ("replica_groups=mesh['a'=2,'b'=2] {'a'}", ((0, 2), (1, 3))),
        ("replica_groups=mesh[a=2,b=2] {b,a}", ((0, 2, 1, 3),)),
        ("replica_groups=mesh['a'=4] {'a':(1)2}", ((0, 2), (1, 3))),
        ("replica_groups=mesh['a'=4] {'a':(2)2}", ((0, 1), (2, 3))),
        ("replica_groups=mesh[a=2,b=2], device_ids=([2,2]T(1,0)) {b}", ((0, 2), (1, 3))),
        ("replica_groups=mesh[a=2,b=2], device_ids=(0,3,1,2) {b}", ((0, 3), (1, 2))),
        ("source_target_pairs={{0,1},{1,2},{2,3},{3,0}}", ((0, 1), (1, 2), (2, 3), (3, 0))),
        ("replica_groups={}, to_apply=%add", ((0, 1, 2, 3),)),
        ("to_apply=%add", ((0, 1, 2, 3),)),
    ],
)
def test_notations(attributes: str, expected: tuple[tuple[int, ...], ...]) -> None:
    assert groups(attributes, 4) == expected


def test_what_is_written_ends_with_the_groups() -> None:
    assert written("a=1, replica_groups=[2,2]<=[2,2]T(1,0), metadata={x={{0}}}") == "[2,2]<=[2,2]T(1,0)"
    assert written("metadata={op_name=\"x\"}") == ""


@given(data=st.data())
def test_counted_groups(data: st.DataObject) -> None:
    """`[groups,size]<=[dims]T(order)` is a count over dims, read with its axes in another order."""
    dims = data.draw(SIZES)
    order = tuple(data.draw(st.permutations(range(len(dims)))))
    total = math.prod(dims)
    size = data.draw(st.sampled_from([each for each in range(1, total + 1) if total % each == 0]))
    # The element at position p of the transposed array is that at the place where axis order[k] is p[k].
    read = []
    for position in itertools.product(*(range(dims[axis]) for axis in order)):
        place = [0] * len(dims)
        for axis, digit in zip(order, position, strict=True):
            place[axis] = digit
        read.append(number(tuple(place), dims))
    expected = tuple(tuple(read[start : start + size]) for start in range(0, total, size))
    text = f"replica_groups=[{total // size},{size}]<=[{','.join(map(str, dims))}]T({','.join(map(str, order))}), x=y"
    assert groups(text, total) == expected


@given(data=st.data())
def test_groups_of_mesh_axes_and_back(data: st.DataObject) -> None:
    """Devices are together whose positions agree on all other axes; the axes are then told again."""
    sizes = data.draw(SIZES)
    names = "abcd"[: len(sizes)]
    chosen = [name for name in names if data.draw(st.booleans())]
    by_rest: dict[tuple[int, ...], set[int]] = {}
    for device in range(math.prod(sizes)):
        rest = tuple(d for d, name in zip(digits(device, sizes), names, strict=True) if name not in chosen)
        by_rest.setdefault(rest, set()).add(device)
    mesh_text = ",".join(f"'{name}'={size}" for name, size in zip(names, sizes, strict=True))
    found = groups(f"replica_groups=mesh[{mesh_text}] {{{','.join(repr(name) for name in chosen)}}}", math.prod(sizes))
    assert sets(found) == {frozenset(group) for group in by_rest.values()}
    mesh = Mesh(np.array([mock.Mock(slice_index=0) for _ in range(math.prod(sizes))]).reshape(sizes), tuple(names))
    # Along an axis of one device nothing varies.
    assert axes(found, mesh) == tuple(n for n, size in zip(names, sizes, strict=True) if n in chosen and size > 1)


@given(data=st.data())
def test_a_part_of_an_axis(data: st.DataObject) -> None:
    """`a:(before)size` of an axis that is before x size x after."""
    before, size, after = (data.draw(st.integers(1, 4)) for _ in range(3))
    sizes = (before, size, after)
    expected: dict[tuple[int, int], set[int]] = {}
    for device in range(math.prod(sizes)):
        first, _, last = digits(device, sizes)
        expected.setdefault((first, last), set()).add(device)
    found = groups(f"replica_groups=mesh['a'={math.prod(sizes)}] {{'a':({before}){size}}}", math.prod(sizes))
    assert sets(found) == {frozenset(group) for group in expected.values()}


def test_permutations_have_the_axes_that_their_pairs_differ_in() -> None:
    devices = np.array(jax.devices()).reshape(2, 4)
    mesh = Mesh(devices, ("outer", "inner"))
    assert axes(((0, 1), (1, 2), (2, 3), (3, 0)), mesh) == ("inner",)
    assert axes(((0, 4), (4, 0)), mesh) == ("outer",)
    assert axes(((0, 5), (1, 0)), mesh) == ("outer", "inner")
    assert axes(((0, 0), (1, 1)), mesh) == ()
    assert axes(((0,), (1, 2, 3)), mesh) == ("inner",)


def test_a_program_of_several_slices_is_numbered_as_the_first() -> None:
    """Devices of the first slice lie at every other place here."""
    devices = [mock.Mock(slice_index=index % 2) for index in range(8)]
    mesh = Mesh(np.array(devices).reshape(4, 2), ("data", "slice"))
    assert slice_axes(mesh) == ("slice",)
    assert positions(mesh, 8).tolist() == list(range(8))
    assert positions(mesh, 4).tolist() == [0, 2, 4, 6]
    assert positions(mesh, 3) is None
    assert axes(((0, 1), (2, 3)), mesh, positions(mesh, 4)) == ("data",)
    assert slice_axes(Mesh(np.array(jax.devices()).reshape(2, 4), ("slice", "data"))) == ()
