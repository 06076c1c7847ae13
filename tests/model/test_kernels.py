"""Attention kernels against softmax attention and its derivative, written in NumPy float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.kernels import Blocked, Dense, Dropout, Kernel, Visibility
from model.masks import Causal, Full, Mask, Places, Segments, SlidingWindow

BATCH, HEAD_DIM = 2, 6


def reference(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, seen: np.ndarray, bias: np.ndarray, up: np.ndarray
) -> dict[str, np.ndarray]:
    """Output, and the derivatives of sum(output * up); `seen` is [batch, queries, keys]."""
    q, k, v, bias, up = (x.astype(np.float64) for x in (q, k, v, bias, up))
    group = q.shape[2] // k.shape[2]
    k_all, v_all = np.repeat(k, group, axis=2), np.repeat(v, group, axis=2)
    scale = 1 / np.sqrt(q.shape[-1])
    logits = np.einsum("bqhd,bthd->bhqt", q, k_all) * scale + bias
    logits = np.where(seen[:, None], logits, -np.inf)
    with np.errstate(invalid="ignore"):
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p = np.nan_to_num(p / p.sum(-1, keepdims=True))
    d_p = np.einsum("bqhd,bthd->bhqt", up, v_all)
    d_logits = p * (d_p - (p * d_p).sum(-1, keepdims=True))

    def shared(x: np.ndarray) -> np.ndarray:
        return x.reshape(*x.shape[:2], -1, group, x.shape[-1]).sum(3)

    return {
        "output": np.einsum("bhqt,bthd->bqhd", p, v_all),
        "q": np.einsum("bhqt,bthd->bqhd", d_logits, k_all) * scale,
        "k": shared(np.einsum("bhqt,bqhd->bthd", d_logits, q)) * scale,
        "v": shared(np.einsum("bhqt,bqhd->bthd", p, up)),
        "bias": d_logits.sum(0),
    }


def places(length: int, segments: np.ndarray | None) -> Places:
    return Places(
        jnp.arange(length)[None], None if segments is None else jnp.asarray(segments, jnp.int32)
    )


def run(kernel: Kernel, mask: Mask, values: dict[str, Any]) -> dict[str, np.ndarray]:
    length = values["q"].shape[1]
    where = places(length, values["segments"])

    @jax.jit
    def both(q: Any, k: Any, v: Any, bias: Any, up: Any) -> Any:
        def output(q: Any, k: Any, v: Any, bias: Any) -> Any:
            visibility = Visibility(mask, where, where, plain=True)
            return kernel.attend(q, k, v, visibility, bias, None)

        result, back = jax.vjp(output, q, k, v, bias)
        return result, *back(up)

    found = both(*(jnp.asarray(values[name]) for name in ("q", "k", "v", "bias", "up")))
    return dict(zip(("output", "q", "k", "v", "bias"), map(np.asarray, found)))


def drawn(length: int, heads: int, kv_heads: int, segments: np.ndarray | None) -> dict[str, Any]:
    rng = np.random.default_rng(length * heads + kv_heads)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "q": normal(BATCH, length, heads, HEAD_DIM),
        "k": normal(BATCH, length, kv_heads, HEAD_DIM),
        "v": normal(BATCH, length, kv_heads, HEAD_DIM),
        "bias": normal(heads, length, length),
        "up": normal(BATCH, length, heads, HEAD_DIM),
        "segments": segments,
    }


def visible(mask: Mask, length: int, segments: np.ndarray | None) -> np.ndarray:
    """[batch, queries, keys] by the masks' own rule, which tests/model/test_masks.py verifies."""
    index = np.arange(length)
    if segments is None:
        segments = np.zeros((BATCH, length), int)
    query = Places(index[None, :, None], segments[:, :, None])
    key = Places(index[None, None], segments[:, None])
    return np.broadcast_to(mask.allowed(query, key), (BATCH, length, length))


SEGMENTS = np.array([[1] * 5 + [2] * 9 + [3] * 5, [1] * 13 + [2] * 2 + [0] * 4])
CASES = {
    "causal, length a multiple": (Causal(), 16, 4, 4, 8, None),
    "window, one key head, odd length": (Causal() & SlidingWindow(5), 19, 3, 1, 7, None),
    "packed documents, grouped heads": (Causal() & Segments(), 19, 4, 2, 10, SEGMENTS),
    "everything, last block of one": (Full(), 17, 2, 2, 16, None),
    "a hole": (Causal() & ~(SlidingWindow(9) & ~SlidingWindow(3)), 19, 2, 1, 7, None),
}


@pytest.mark.parametrize("name", CASES)
def test_kernels_are_softmax_attention(name: str) -> None:
    mask, length, heads, kv_heads, block, segments = CASES[name]
    values = drawn(length, heads, kv_heads, segments)
    seen = visible(mask, length, segments)
    assert seen.any(-1).all()
    arrays = (values[part] for part in ("q", "k", "v"))
    expected = reference(*arrays, seen, values["bias"], values["up"])
    for kernel in (Dense(), Blocked(block)):
        found = run(kernel, mask, values)
        for part, wanted in expected.items():
            np.testing.assert_allclose(
                found[part], wanted, atol=2e-6 * np.abs(wanted).max(), rtol=0, err_msg=str(kernel)
            )


def test_queries_without_keys_are_finite_and_harm_nobody() -> None:
    mask = Causal() & ~SlidingWindow(3)  # the first three queries see nothing
    values = drawn(11, 2, 2, None)
    seen = visible(mask, 11, None)
    blind = ~seen[0].any(-1)
    assert blind.tolist() == [True] * 3 + [False] * 8
    values["up"][:, blind] = 0
    arrays = (values[part] for part in ("q", "k", "v"))
    expected = reference(*arrays, seen, values["bias"], values["up"])
    for kernel in (Dense(), Blocked(6)):
        found = run(kernel, mask, values)
        assert all(np.isfinite(part).all() for part in found.values())
        np.testing.assert_allclose(
            found["output"][:, ~blind], expected["output"][:, ~blind], atol=1e-5
        )
        for part in ("q", "k", "v", "bias"):
            np.testing.assert_allclose(found[part], expected[part], atol=1e-5)


def test_blocks_out_of_reach_are_never_touched() -> None:
    """Nothing times NaN is NaN: a key that is computed and then masked would show."""
    values = drawn(16, 2, 2, None)
    values["k"][:, :8] = values["v"][:, :8] = np.nan
    mask = Causal() & SlidingWindow(4)
    output = run(Blocked(4), mask, values)["output"]
    assert np.isnan(output[:, :11]).any(axis=(2, 3)).all()
    assert np.isfinite(output[:, 12:]).all()


def test_spans_of_causal_and_window_by_hand() -> None:
    assert Blocked(4).spans(Causal(), 10, 10) == [
        ((0, 4), (0, 4), False),
        ((4, 8), (0, 8), False),
        ((8, 10), (0, 10), False),
    ]
    assert Blocked(4).spans(Causal() & SlidingWindow(4), 14, 14) == [
        ((0, 4), (0, 4), False),
        ((4, 8), (0, 8), False),
        ((8, 12), (4, 12), False),
        ((12, 14), (8, 14), False),
    ]
    assert Blocked(4).spans(Full(), 6, 6) == [((0, 4), (0, 6), True), ((4, 6), (0, 6), True)]


@given(
    length=st.integers(1, 40),
    block=st.integers(1, 12),
    size=st.integers(1, 40),
    segmented=st.booleans(),
    holed=st.booleans(),
)
def test_spans_hold_all_that_is_seen_and_little_else(
    length: int, block: int, size: int, segmented: bool, holed: bool
) -> None:
    mask = Causal() & SlidingWindow(size)
    mask = mask & Segments() if segmented else mask
    mask = mask & ~SlidingWindow(max(1, size // 2)) if holed else mask
    seen = mask.dense(length, length)
    next_row = 0
    for (start, stop), (low, high), full in Blocked(block).spans(mask, length, length):
        assert start == next_row and 0 <= low < high <= length
        next_row = stop
        rows = seen[start:stop]
        assert not rows[:, :low].any() and not rows[:, high:].any()
        assert not full or (rows[:, low:high].all() and not segmented)
        if rows.any():
            assert rows[:, low : low + block].any() and rows[:, high - 1 - (high - 1) % block :].any()
    assert next_row == length


def test_other_indices_fall_back_to_dense() -> None:
    values = drawn(9, 2, 1, None)
    index = jnp.asarray(np.random.default_rng(0).permutation(9))[None]
    where = Places(index)
    visibility = Visibility(Causal(), where, where, plain=False)
    q, k, v = (jnp.asarray(values[name]) for name in ("q", "k", "v"))
    found = Blocked(2).attend(q, k, v, visibility, None, None)
    order = np.asarray(index[0])
    seen = np.broadcast_to(order[None, :, None] >= order[None, None], (BATCH, 9, 9))
    expected = reference(
        values["q"], values["k"], values["v"], seen, np.zeros((2, 9, 9)), values["up"]
    )
    np.testing.assert_allclose(found, expected["output"], atol=1e-5)


def test_dropped_probabilities_keep_their_mean() -> None:
    """With equal logits each output feature is a mean of kept values over (1 - rate)."""
    length, rate, rows = 64, 0.25, 32
    q = jnp.zeros((rows, length, 1, 1))
    v = jnp.ones((rows, length, 1, 1))
    where = places(length, None)
    visibility = Visibility(Full(), where, where, plain=True)
    attend = jax.jit(
        lambda key: Blocked(16).attend(q, q, v, visibility, None, Dropout(rate, key))
    )
    found = np.asarray(attend(jax.random.key(3)))
    counts = found * (1 - rate) * length
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    deviation = np.sqrt(rate / (1 - rate) / length)
    assert found.mean() == pytest.approx(1, abs=5 * deviation / np.sqrt(found.size))
    assert found.std() == pytest.approx(deviation, rel=0.15)
    assert not np.array_equal(found, attend(jax.random.key(4)))


def test_bfloat16_keeps_its_format_and_sums_in_float32() -> None:
    values = drawn(16, 4, 2, None)
    q, k, v = (jnp.asarray(values[name], jnp.bfloat16) for name in ("q", "k", "v"))
    where = places(16, None)
    visibility = Visibility(Causal(), where, where, plain=True)
    found = Blocked(8).attend(q, k, v, visibility, None, None)
    assert found.dtype == jnp.bfloat16
    rounded = (np.asarray(x, np.float64) for x in (q, k, v))
    seen = visible(Causal(), 16, None)
    expected = reference(*rounded, seen, np.zeros((4, 16, 16)), values["up"])["output"]
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, atol=0.02)
