"""Attention kernels against softmax attention and its derivative, written in NumPy float64."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.kernels import Blocked, Dense, Dropout, Piece, Scores, Visibility
from model.masks import (
    Causal,
    Chunked,
    DilatedWindow,
    Fixed,
    Full,
    Global,
    Mask,
    Places,
    Prefix,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
    Window,
)

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

SEGMENTS = np.array([[1] * 5 + [2] * 9 + [3] * 5, [1] * 13 + [2] * 2 + [0] * 4])
BIGBIRD = Global(2) | Window(2, 2) | RandomBlocks(3, 1, seed=1, blocks=6)
CASES = {
    "causal, length a multiple": (8, Case(Causal(), 16, 4, 4, bias=True)),
    "window, one key head, odd length": (7, Case(Causal() & SlidingWindow(5), 19, 3, 1, bias=True)),
    "packed documents, grouped heads": (10, Case(Causal() & Segments(), 19, 4, 2, SEGMENTS, bias=True)),
    "everything, last block of one": (16, Case(Full(), 17, 2, 2, bias=True)),
    "a hole": (7, Case(Causal() & ~(SlidingWindow(9) & ~SlidingWindow(3)), 19, bias=True)),
    "softcap, bias and sinks": (4, Case(Causal() & (Sinks(1) | SlidingWindow(3)), 19, 4, 2, None, 1.5, True, True)),
    "softcap, packed": (4, Case(Causal() & Segments(), 19, 4, 2, SEGMENTS, softcap=0.7)),
    "sinks for queries without keys": (3, Case(Causal() & ~SlidingWindow(4), 19, 4, 2, sinks=True)),
    "prefix": (4, Case(Causal() | Prefix(6), 19)),
    "chunked": (4, Case(Causal() & Chunked(6), 19)),
    "strided": (2, Case(Causal() & Strided(6), 19)),
    "fixed": (2, Case(Causal() & Fixed(6, 1), 19)),
    "dilated": (2, Case(DilatedWindow(2, 6), 19)),
    "bigbird, packed, sinks": (3, Case(BIGBIRD & Segments(), 19, 2, 1, SEGMENTS, sinks=True)),
    "nothing seen": (4, Case(~Full(), 9, bias=True)),
}


@pytest.mark.parametrize("name", CASES)
def test_kernels_are_softmax_attention(name: str) -> None:
    block, case = CASES[name]
    agree([Dense(), Blocked(block)], case)


MASKS = [
    Full(), Causal(), Causal() & SlidingWindow(5), Causal() & Segments(), Segments() | SlidingWindow(2), BIGBIRD,
    Causal() & (Sinks(2) | SlidingWindow(3)) & Segments(), Causal() & ~SlidingWindow(4), Causal() & Fixed(5, 1),
]  # fmt: skip


# Every example is compiled.
@settings(max_examples=4)
@given(
    mask=st.sampled_from(MASKS), length=st.integers(1, 14), block=st.integers(1, 5), packed=st.booleans(),
    heads=st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2)]), softcap=st.sampled_from([0.0, 2.0]),
    bias=st.booleans(), sinks=st.booleans(),
)  # fmt: skip
def test_any_mask_shape_and_scores(
    mask: Mask, length: int, block: int, packed: bool, heads: tuple, softcap: float, bias: bool, sinks: bool
) -> None:
    segments = np.sort(np.random.default_rng(length).integers(0, 3, (2, length)), axis=1) if packed else None
    agree([Blocked(block)], Case(mask, length, *heads, segments, softcap, bias, sinks))


def test_queries_without_keys_get_nothing_and_give_nothing() -> None:
    case = Case(Causal() & ~SlidingWindow(3), 11)  # the first three queries see nothing
    given = attention_reference.values(case)
    for kernel in (Dense(), Blocked(6), Blocked(2)):
        found = attention_reference.run(kernel, case, given)
        assert not found["output"][:, :3].any() and found["output"][:, 3:].all()
        assert not found["q"][:, :3].any() and np.isfinite(found["k"]).all()


def test_empty_blocks_are_never_touched() -> None:
    """Nothing times NaN is NaN: a key that is computed and then masked would show."""
    case = Case(Causal() & (Sinks(4) | SlidingWindow(4)), 20)
    given = attention_reference.values(case)
    given["k"][:, 4:12] = given["v"][:, 4:12] = np.nan
    output = attention_reference.run(Blocked(4), case, given)["output"]
    assert np.isnan(output[:, 4:15]).any(axis=(2, 3)).all()
    assert np.isfinite(output[:, 16:]).all() and np.isfinite(output[:, :4]).all()


def piece(rows: tuple[int, int], *keys: tuple[int, int], full: bool = False) -> Piece:
    return Piece(slice(*rows), tuple(slice(*part) for part in keys), full)


def test_pieces_by_hand() -> None:
    assert Blocked(4).pieces(Causal(), 10, 10) == [
        piece((0, 4), (0, 4)), piece((4, 8), (0, 8)), piece((8, 10), (0, 10)),
    ]  # fmt: skip
    assert Blocked(4).pieces(Causal() & (Sinks(1) | SlidingWindow(4)), 14, 14) == [
        piece((0, 4), (0, 4)), piece((4, 8), (0, 8)), piece((8, 12), (0, 12)), piece((12, 14), (0, 4), (8, 14)),
    ]  # fmt: skip
    assert Blocked(4).pieces(Full(), 6, 6) == [piece((0, 4), (0, 6), full=True), piece((4, 6), (0, 6), full=True)]
    assert Blocked(2).pieces(Chunked(4) & ~Causal(), 6, 6)[2] == piece((4, 6), (4, 6))
    # The first query is at the first key, also when there are fewer of them.
    assert Blocked(4).pieces(Causal(), 8, 20) == [piece((0, 4), (0, 4)), piece((4, 8), (0, 8))]
    assert Blocked(2).pieces(Causal() & ~SlidingWindow(3), 4, 4)[0] == piece((0, 2), full=True)


@given(mask=st.sampled_from(MASKS), length=st.integers(1, 40), block=st.integers(1, 12))
def test_pieces_hold_all_that_is_seen_and_little_else(mask: Mask, length: int, block: int) -> None:
    seen, covered = mask.dense(length, length), np.zeros((length, length), bool)
    for rows, keys, full in Blocked(block).pieces(mask, length, length):
        for part in keys:
            covered[rows, part] = True
            assert not full or (seen[rows, part].all() and not mask.segmented())
            assert all(seen[rows, j : j + block].any() for j in range(part.start, part.stop, block))
    assert not (seen & ~covered).any()
    if length > block:
        assert Blocked(block).computed_fraction(mask, length, length) == pytest.approx(covered.mean())
    else:
        assert Blocked(block).computed_fraction(mask, length, length) == 1


def test_share_that_is_computed() -> None:
    assert Blocked(128).computed_fraction(Causal(), 1024, 1024) == 36 / 64
    mask = Causal() & (Sinks(4) | SlidingWindow(128))
    # Of 8 blocks a row: the first, the own and the one before.
    assert Blocked(128).computed_fraction(mask, 1024, 1024) == (1 + 2 + 6 * 3) / 64
    assert Blocked(128).computed_fraction(mask, 1024, 1024) == 1 - mask.skipped(1024, 128)


def test_other_indices_fall_back_to_dense() -> None:
    case = Case(Causal(), 9)
    given = attention_reference.values(case)
    order = np.random.default_rng(0).permutation(9)
    where = Places(jnp.asarray(order)[None])
    visibility = Visibility(Causal(), where, where, plain=False)
    q, k, v = (jnp.asarray(given[name]) for name in ("q", "k", "v"))
    found = Blocked(2).attend(q, k, v, visibility, Scores(case.head_dim**-0.5), None)
    seen = np.broadcast_to(order[None, :, None] >= order[None, None], (2, 9, 9))
    np.testing.assert_allclose(found, attention_reference.reference(case, given, seen)["output"], atol=1e-5)


def test_queries_and_keys_of_different_number() -> None:
    """As of a decoder that looks at an encoder's output, some of it padding."""
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.normal(size=(1, n, 2, 4)), jnp.float32) for n in (7, 12, 12))
    query = Places(jnp.arange(7)[None], jnp.ones((1, 7), jnp.int32))
    key = Places(jnp.arange(12)[None], jnp.asarray([[1] * 9 + [0] * 3]))
    seen = Visibility(Full() & Segments(), query, key, plain=True)
    wide = [np.asarray(x, np.float64)[:, :n] for x, n in ((q, 7), (k, 9), (v, 9))]
    e = np.exp(np.einsum("bqhd,bthd->bhqt", *wide[:2]) / 2)
    expected = np.einsum("bhqt,bthd->bqhd", e / e.sum(-1, keepdims=True), wide[2])
    for kernel in (Dense(), Blocked(4)):
        found = jax.jit(lambda kernel=kernel: kernel.attend(q, k, v, seen, Scores(0.5), None))()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_dropped_probabilities_keep_their_mean() -> None:
    """With equal logits each output feature is a mean of kept values over (1 - rate)."""
    length, rate, rows = 64, 0.25, 32
    q = jnp.zeros((rows, length, 1, 1))
    v = jnp.ones((rows, length, 1, 1))
    where = Places(jnp.arange(length)[None])
    visibility = Visibility(Full(), where, where, plain=True)
    attend = jax.jit(
        lambda key: Blocked(16).attend(q, q, v, visibility, Scores(1.0), Dropout(rate, key))
    )
    found = np.asarray(attend(jax.random.key(3)))
    counts = found * (1 - rate) * length
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    deviation = np.sqrt(rate / (1 - rate) / length)
    assert found.mean() == pytest.approx(1, abs=5 * deviation / np.sqrt(found.size))
    assert found.std() == pytest.approx(deviation, rel=0.15)
    assert not np.array_equal(found, attend(jax.random.key(4)))


def test_bfloat16_keeps_its_format_and_sums_in_float32() -> None:
    case = Case(Causal(), 16, 4, 2)
    given = attention_reference.values(case)
    q, k, v = (jnp.asarray(given[name], jnp.bfloat16) for name in ("q", "k", "v"))
    where = Places(jnp.arange(16)[None])
    visibility = Visibility(Causal(), where, where, plain=True)
    found = Blocked(8).attend(q, k, v, visibility, Scores(case.head_dim**-0.5), None)
    assert found.dtype == jnp.bfloat16
    rounded = {name: np.asarray(x, np.float64) for name, x in zip("qkv", (q, k, v), strict=True)}
    expected = attention_reference.reference(case, given | rounded)["output"]
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, atol=0.02)


@pytest.mark.parametrize("block", [0, -4])
def test_a_block_holds_a_query(block: int) -> None:
    with pytest.raises(ValueError, match=f"Blocked.block is {block}; a block holds at least 1 query"):
        Blocked(block)
