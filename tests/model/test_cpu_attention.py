"""Attention with a gradient of its own against softmax attention in NumPy float64, forward and backward."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.cpu_attention import Recomputed
from model.kernels import Scores, Visibility
from model.masks import (
    Causal,
    DilatedWindow,
    Fixed,
    Full,
    Global,
    Mask,
    Places,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Window,
)

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

MASKS = [
    Full(), Causal(), Causal() & SlidingWindow(5), Causal() & Segments(), Segments() | SlidingWindow(2),
    Causal() & (Sinks(1) | SlidingWindow(3)) & Segments(), Causal() & ~SlidingWindow(9), DilatedWindow(2, 9),
    Causal() & Fixed(6, 1), Global(1) | Window(2, 2) | RandomBlocks(3, 1, seed=1, blocks=7),
]  # fmt: skip


def segments(length: int) -> np.ndarray:
    return np.sort(np.random.default_rng(length).integers(0, 3, (2, length)), axis=1)


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("segmented", [False, True])
def test_output_and_gradients_are_softmax_attentions(mask: Mask, segmented: bool) -> None:
    agree([Recomputed(4)], Case(mask, 21, 6, 2, segments(21) if segmented else None))


@pytest.mark.parametrize("softcap", [0.0, 0.8])
@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_scores_of_every_kind(softcap: float, sinks: bool, bias: bool) -> None:
    mask = Causal() & ~SlidingWindow(3) & Segments()  # some queries see nothing
    agree([Recomputed(4)], Case(mask, 21, 6, 2, segments(21), softcap, bias, sinks))


# Every example is compiled.
@settings(max_examples=4)
@given(
    length=st.integers(1, 20), block=st.integers(1, 24), heads=st.sampled_from([(1, 1), (2, 2), (2, 1)]),
    mask=st.sampled_from(MASKS), segmented=st.booleans(), softcap=st.sampled_from([0.0, 2.0]), sinks=st.booleans(),
)  # fmt: skip
def test_any_length_and_block(
    length: int, block: int, heads: tuple[int, int], mask: Mask, segmented: bool, softcap: float, sinks: bool
) -> None:
    case = Case(mask, length, *heads, segments(length) if segmented else None, softcap, False, sinks)
    agree([Recomputed(block)], case)


def test_large_logits_do_not_overflow() -> None:
    q = jnp.full((1, 9, 1, 4), 60.0)
    places = Places(jnp.arange(9)[None])
    seen = Visibility(Causal(), places, places, plain=True)

    def total(q: jax.Array) -> jax.Array:
        return Recomputed(4).attend(q, q, q, seen, Scores(0.5), None).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(q)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_a_block_holds_a_query() -> None:
    with pytest.raises(ValueError, match="Recomputed.block is 0; a block holds at least 1 query"):
        Recomputed(0)
