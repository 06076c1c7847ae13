"""Attention with a gradient of its own against the dense reference, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.cpu_attention import Recomputed
from model.kernels import Dense, Visibility
from model.masks import Causal, Full, Mask, Places, Segments, SlidingWindow

MASKS = [Full(), Causal(), Causal() & SlidingWindow(5), Causal() & Segments(), Segments() | SlidingWindow(2)]


def compare(mask: Mask, length: int, block: int, kv_heads: int, group: int, segmented: bool, seed: int) -> None:
    generator = np.random.default_rng(seed)

    def draw(heads: int) -> jax.Array:
        return jnp.asarray(generator.normal(size=(2, length, heads, 4)), jnp.float32)

    q, k, v, cotangent = draw(kv_heads * group), draw(kv_heads), draw(kv_heads), draw(kv_heads * group)
    segments = jnp.asarray(np.sort(generator.integers(0, 3, (2, length)), axis=1)) if segmented else None
    places = Places(jnp.arange(length)[None], segments)
    seen = Visibility(mask, places, places, plain=True)
    results = []
    for kernel in (Recomputed(block), Dense()):
        out, pull = jax.vjp(lambda q, k, v, kernel=kernel: kernel.attend(q, k, v, seen, None, None), q, k, v)
        results.append((out, *pull(cotangent)))
    for ours, dense in zip(*results, strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("segmented", [False, True])
def test_output_and_gradients_are_those_of_dense(mask: Mask, segmented: bool) -> None:
    compare(mask, length=21, block=8, kv_heads=2, group=3, segmented=segmented, seed=0)


@given(
    length=st.integers(1, 20), block=st.integers(1, 24), heads=st.sampled_from([(1, 1), (2, 1), (1, 2)]),
    mask=st.sampled_from(MASKS), seed=st.integers(0, 99),
)
def test_any_length_and_block(length: int, block: int, heads: tuple[int, int], mask: Mask, seed: int) -> None:
    with jax.disable_jit():
        compare(mask, length, block, *heads, segmented=bool(seed % 2), seed=seed)


def test_large_logits_do_not_overflow() -> None:
    q = jnp.full((1, 9, 1, 4), 60.0)
    places = Places(jnp.arange(9)[None])
    seen = Visibility(Causal(), places, places, plain=True)

    def total(q: jax.Array) -> jax.Array:
        return Recomputed(4).attend(q, q, q, seen, None, None).sum()

    value, gradient = jax.value_and_grad(total)(q)
    assert np.isfinite(value) and np.isfinite(gradient).all()
