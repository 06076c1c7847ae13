"""Masks as splash attention takes them, block by block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.masks import Causal, Chunked, Full, Global, Mask, Places, RandomBlocks, SlidingWindow
from model.splash import Splash
from model.splash_kernel import ComputedMask, SplashMask, visiting

BIGBIRD = Causal() & (Global(8) | SlidingWindow(40) | RandomBlocks(16, 1))


@pytest.mark.parametrize("kind", [SplashMask, ComputedMask])
@pytest.mark.parametrize("mask", [Causal() & SlidingWindow(9), BIGBIRD, Causal() & Chunked(7)], ids=str)
def test_blocks_of_a_row_are_the_masks(mask: Mask, kind: type) -> None:
    """Padded queries are the last one, and padded keys are seen by none."""
    ours = kind(mask, 45, 40, (60, 50))
    dense = np.asarray(mask.allowed(Places(np.minimum(np.arange(60), 44)[:, None]), Places(np.arange(50)[None])))
    dense = dense & (np.arange(50) < 40)
    for top in range(0, 60, 5):
        for left in range(0, 50, 10):
            assert np.array_equal(ours[top : top + 5, left : left + 10], dense[top : top + 5, left : left + 10])
    assert ours == kind(mask, 45, 40, (60, 50)) and hash(ours) == hash(kind(mask, 45, 40, (60, 50)))
    assert ours != kind(mask, 45, 41, (60, 50))
    if kind is ComputedMask:
        index = ours.q_sequence
        assert np.array_equal(ours.mask_function(index[:, None], np.arange(50)[None]), dense)
    # Pallas finds what it made for equal masks; one that is read has other maps than one that is computed.
    assert ours != (SplashMask if kind is ComputedMask else ComputedMask)(mask, 45, 40, (60, 50))


@pytest.mark.parametrize("mask", [Full(), Causal(), Causal() & SlidingWindow(300)], ids=str)
def test_programs_tell_how_many_blocks_are_visited(mask: Mask) -> None:
    places = np.arange(1024)
    dense = np.asarray(mask.allowed(Places(places[:, None]), Places(places[None])))
    dense = np.broadcast_to(dense, (1024, 1024))
    visited = dense.reshape(4, 256, 8, 128).any((1, 3)).sum()
    kernel = Splash(queries=256, keys=128).kernel(mask, 1024, 1024, 2, 0.0)

    def within(x: jax.Array) -> jax.Array:
        with visiting(kernel, 1024):
            return jnp.sin(x)

    assert f"visits_{visited}_of_32_blocks" in jax.jit(within).lower(1.0).as_text(debug_info=True)
