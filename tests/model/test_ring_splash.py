"""Which kernels the pairs of chunks of a ring share; what the TPU's compiler makes of a long divided sequence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.kernels import Scores, Visibility
from model.masks import Causal, Full, Mask, Places, RandomBlocks, Segments, SlidingWindow
from model.ring import Ring
from model.ring_order import order
from model.ring_splash import Shifted, tiled
from model.splash import Splash
from sharding.axes import active
from sharding.placements import Combined


def kinds(mask: Mask, length: int, ways: int) -> Any:
    return tiled(Splash(), mask, False, order(mask, length, ways, False), length, 1.0, 0.0)


def test_pairs_that_a_shift_turns_into_each_other_share_a_kernel() -> None:
    causal = kinds(Causal(), 1024, 4)
    assert causal.masks == (Shifted(Causal(), 0, 0), Full())
    assert causal.kind.tolist() == [[0, -1, -1, -1], [1, 0, -1, -1], [1, 1, 0, -1], [1, 1, 1, 0]]
    window = kinds(Causal() & SlidingWindow(300), 1024, 4)
    # The own chunk, the one before, and the corner that is left of the one before that.
    assert len(window.masks) == 3 and window.kind[3].tolist() == [-1, 2, 1, 0]


def test_shifted_masks_are_parts_of_the_whole() -> None:
    mask = Causal() & SlidingWindow(100)
    index = np.arange(64)
    found = Shifted(mask, 128, 64).allowed(Places(index[:, None]), Places(index[None]))
    np.testing.assert_array_equal(found, mask.dense(256, 256)[128:192, 64:128])


def test_what_needs_too_many_kernels_is_left_to_xla() -> None:
    assert kinds(Causal(), 1000, 4) is None
    assert kinds(Causal() & (SlidingWindow(9) | RandomBlocks(16, 1)), 2048, 8) is None


@pytest.mark.slow
def test_the_tpu_compiler_fits_a_long_row_in_little_memory() -> None:
    """32,768 places over four chips: logits of 32 heads would take 32 GiB of a chip, in float32."""
    from jax.experimental import topologies

    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    layout, length = Combined(context=4).on(devices), 32_768

    def total(q: Any, k: Any, v: Any, segments: Any) -> Any:
        where = Places(jnp.arange(length)[None], segments)
        seen = Visibility(Causal() & Segments(), where, where, plain=True)
        return Ring().attend(q, k, v, seen, Scores(0.1), None).astype(jnp.float32).sum()

    shapes = [((2, length, heads, 128), jnp.bfloat16, ("batch", "seq", None, None)) for heads in (32, 8, 8)]
    shapes.append(((2, length), jnp.int32, ("batch", "seq")))
    given = [
        jax.ShapeDtypeStruct(shape, kind, sharding=layout.activation(axes, shape)) for shape, kind, axes in shapes
    ]
    with active(layout):
        traced = jax.jit(jax.grad(total, (0, 1, 2))).trace(*given)
    compiled = traced.lower(lowering_platforms=("tpu",)).compile()
    text = compiled.as_text()
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * 2**30
    assert "collective-permute-start" in text and "tpu_custom_call" in text
    assert not any(f" {name}" in text for name in ("all-gather(", "all-gather-start(", "all-to-all("))
