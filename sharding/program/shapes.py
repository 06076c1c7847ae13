"""Shapes in the text of a program: `bf16[8,1024]{1,0:T(8,128)(2,1)S(1)}`, and the bytes that they take.

Layouts: https://openxla.org/xla/shapes and https://openxla.org/xla/tiled_layout.
"""

import dataclasses
import enum
import functools
import math
import re
from collections.abc import Collection

# `token` and the like take no memory.
_BYTES = {
    "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "f8e4m3fn": 1, "f8e5m2": 1, "f8e4m3b11fnuz": 1, "f8e4m3": 1,
    "f8e3m4": 1, "f8e8m0fnu": 1, "f4e2m1fn": 0.5, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4,
    "f32": 4, "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16, "token": 0, "opaque": 0,
}  # fmt: skip
_ARRAY = re.compile(r"([a-z][a-z0-9]*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_TILE = re.compile(r"T\(([\d,]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")


class Space(enum.IntEnum):
    """Memory that an array is in, by the number in its layout; other numbers are of scalars and semaphores."""

    HBM = 0
    ON_CHIP = 1
    HOST = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Array:
    """An array of a type.

    Attributes:
      dtype: XLA's name.
      dims: sizes.
      minor_to_major: dimensions, the one whose elements are neighbours first; empty where the text does not tell.
      tile: by which the minor dimensions are padded, major first; empty for none.
      space: number of the memory it is in (`Space`).
    """

    dtype: str
    dims: tuple[int, ...]
    minor_to_major: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    space: int = Space.HBM

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> float:
        """Of the elements, as collectives send them."""
        return float(self.elements * _BYTES[self.dtype])

    @property
    def padded_bytes(self) -> float:
        """In memory, where the minor dimensions are rounded up to the tile."""
        if not self.tile or len(self.minor_to_major) != len(self.dims):
            return self.bytes
        sizes = list(self.dims)
        for dim, tile in zip(self.minor_to_major, reversed(self.tile), strict=False):
            sizes[dim] = -(-sizes[dim] // tile) * tile
        return float(math.prod(sizes) * _BYTES[self.dtype])


@functools.lru_cache(maxsize=65536)
def arrays(text: str) -> tuple[Array, ...]:
    """The arrays of a type, those of tuples in order."""
    return tuple(
        _array(dtype, dims, layout) for dtype, dims, layout in _ARRAY.findall(text) if dtype in _BYTES
    )  # fmt: skip


def size(text: str, spaces: Collection[int] | None = (Space.HBM,)) -> float:
    """Padded bytes of a type's arrays in these memories, or in any."""
    return float(sum(each.padded_bytes for each in arrays(text) if spaces is None or each.space in spaces))


def _array(dtype: str, dims: str, layout: str) -> Array:
    order, tile, space = layout.partition(":")[0], _TILE.search(layout), _SPACE.search(layout)
    return Array(
        dtype=dtype,
        dims=tuple(int(dim) for dim in dims.replace("<=", "").split(",") if dim),
        minor_to_major=tuple(int(dim) for dim in order.split(",") if dim.strip().isdigit()),
        tile=tuple(map(int, tile[1].split(","))) if tile else (),
        space=int(space[1]) if space else Space.HBM,
    )
