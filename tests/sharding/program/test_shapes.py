"""Shapes as XLA writes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.program.shapes import Array, Space, arrays, size


def test_every_part_of_a_type_is_read() -> None:
    text = "(bf16[8,1024]{1,0:T(8,128)(2,1)S(1)}, f32[]{:T(128)}, /*index=2*/u32[]{:S(2)}, s32[3,<=7]{0,1}, pred[4])"
    assert arrays(text) == (
        Array("bf16", (8, 1024), (1, 0), (8, 128), 1),
        Array("f32", (), (), (128,)),
        Array("u32", (), (), (), 2),
        Array("s32", (3, 7), (0, 1)),
        Array("pred", (4,)),
    )


def test_what_is_no_array_is_passed_over() -> None:
    assert arrays("token[]")[0].bytes == 0
    assert arrays("after-all") == ()


@pytest.mark.parametrize(
    ("text", "nbytes", "padded"),
    [
        ("f32[3,5]", 60, 60),
        ("bf16[3,200]{1,0:T(8,128)(2,1)}", 1200, 8 * 256 * 2),
        # The minor dimension is the first here.
        ("bf16[200,3]{0,1:T(8,128)(2,1)}", 1200, 8 * 256 * 2),
        ("s8[2,3,5]{2,1,0:T(8,128)(4,1)}", 30, 2 * 8 * 128),
        ("s4[10]{0}", 5, 5),
    ],
)
def test_bytes(text: str, nbytes: float, padded: float) -> None:
    (array,) = arrays(text)
    assert (array.bytes, array.padded_bytes) == (nbytes, padded)


@given(data=st.data())
def test_padding_is_that_of_whole_tiles(data: st.DataObject) -> None:
    dims = data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=4))
    order = data.draw(st.permutations(range(len(dims))))
    tile = tuple(data.draw(st.lists(st.sampled_from((1, 2, 8, 128)), min_size=1, max_size=2)))
    # NumPy pads a physical array, major dimension first.
    physical = np.zeros([dims[dim] for dim in reversed(order)], np.int8)
    tiles = (1,) * (len(dims) - len(tile)) + tile
    padded = np.pad(physical, [(0, -length % unit) for length, unit in zip(physical.shape, tiles, strict=True)])
    text = f"s8[{','.join(map(str, dims))}]{{{','.join(map(str, order))}:T({','.join(map(str, tile))})}}"
    assert arrays(text)[0].padded_bytes == padded.nbytes


def test_bytes_of_one_memory() -> None:
    text = "(f32[4]{0:T(128)}, f32[8]{0:T(128)S(1)}, f32[16]{0:S(5)})"
    assert size(text) == 512
    assert size(text, (Space.ON_CHIP, Space.HOST)) == 512 + 64
    assert size(text, None) == 512 + 512 + 64
