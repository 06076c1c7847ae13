"""Biases of attention logits: slopes and buckets from their definitions, and stored numbers of transformers."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from data.spec import build
from model.attention_bias import alibi_slopes
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.positions import Alibi, Positions, T5Bias
from model.precision import Precision

SIZES = Sizes(embed=6, layers=2, dropout=0.0, parametrization=Standard(0.02), precision=Precision())
GOLDENS = json.loads((Path(__file__).parent / "goldens" / "positions.json").read_text())["t5"]


def test_slopes_halve_for_eight_heads() -> None:
    # Press 2021, section 3: 1/2, 1/4, ..., 1/256; for 16 heads the geometric means lie between.
    np.testing.assert_array_equal(alibi_slopes(8), [2.0**-n for n in range(1, 9)])
    np.testing.assert_allclose(alibi_slopes(16), [2 ** (-n / 2) for n in range(1, 17)], rtol=1e-7)
    np.testing.assert_array_equal(alibi_slopes(1), [2.0**-8])


def test_slopes_of_twelve_heads() -> None:
    # As the authors' program has it: those of 8 heads, then every other one of 16.
    np.testing.assert_allclose(
        alibi_slopes(12), [2.0**-n for n in range(1, 9)] + [2 ** (-n / 2) for n in (1, 3, 5, 7)], rtol=1e-7
    )
    for heads in range(1, 70):
        slopes = alibi_slopes(heads)
        assert slopes.shape == (heads,) and len(set(slopes)) == heads and ((slopes > 0) & (slopes < 1)).all()


@settings(max_examples=15, deadline=None)
@given(heads=st.sampled_from([1, 4, 12]), start=st.integers(0, 10_000), step=st.integers(1, 9))
def test_alibi_is_linear_in_the_distance(heads: int, start: int, step: int) -> None:
    query = jnp.array([[start + 50 * step]])
    key = start + step * jnp.arange(101)[None]
    found = np.asarray(Alibi().at_logits(None, heads, query, key))
    assert found.shape == (1, heads, 1, 101)
    expected = -alibi_slopes(heads).astype(np.float64)[:, None] * step * np.abs(np.arange(101) - 50)
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(found, found[..., ::-1])


def test_alibi_has_no_weights() -> None:
    positions, x = jnp.arange(3)[None], jnp.ones((1, 3, 6))
    assert Alibi().weights(SIZES, 2, nnx.Rngs(0)) is None and Alibi().limit() is None
    assert Alibi().at_input(None, x, positions) is x


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: str(case["spec"]))
def test_buckets_are_those_of_transformers(case) -> None:
    spec = build(case["spec"], Positions)
    assert isinstance(spec, T5Bias)
    np.testing.assert_array_equal(spec.bucket(np.arange(-140, 141)), case["buckets"])


def exact_bucket(distance: int, buckets: int, most: int) -> int:
    """The definition in whole numbers: (distance / n)^m >= (most / n)^k for the greatest k, of m shared buckets."""
    single = buckets // 2
    if distance < single:
        return distance
    shared = buckets - single
    steps = [k for k in range(shared) if distance**shared * single**k >= most**k * single**shared]
    return single + steps[-1]


@settings(max_examples=100, deadline=None)
@given(
    half=st.integers(1, 40), beyond=st.integers(1, 2000), both=st.booleans(), distance=st.integers(0, 5000)
)
def test_buckets_are_their_definition(half: int, beyond: int, both: bool, distance: int) -> None:
    spec = T5Bias(2 * half * (2 if both else 1), half + beyond, both)
    past, future = spec.bucket(np.array([-distance, distance]))
    exact = exact_bucket(distance, 2 * half, half + beyond)
    # On the border of two buckets rounding decides, as it does in T5.
    log = math.log(max(distance, 1) / half) / math.log(spec.max_distance / half) * half
    allowed = {exact} if abs(log - round(log)) > 1e-4 else {exact, exact - 1}
    assert past in allowed
    assert future == (past + 2 * half * (distance > 0) if both else 0)


@settings(max_examples=30, deadline=None)
@given(half=st.integers(1, 40), beyond=st.integers(1, 500), both=st.booleans())
def test_buckets_are_monotone_and_all_used_from_the_first_on(half: int, beyond: int, both: bool) -> None:
    spec = T5Bias(2 * half * (2 if both else 1), half + beyond, both)
    past = spec.bucket(-np.arange(2 * spec.max_distance))
    assert (np.diff(past) >= 0).all() and past[0] == 0 and past[spec.max_distance] == past[-1] == 2 * half - 1
    np.testing.assert_array_equal(past[:half], np.arange(half))
    assert spec.bucket(np.arange(900)).min() >= 0 and spec.bucket(np.arange(900)).max() < spec.buckets


def make(spec: T5Bias, heads: int) -> tuple[nnx.Module, np.ndarray]:
    module = spec.weights(SIZES, heads, nnx.Rngs(0))
    return module, np.asarray(module.table[...])


@pytest.mark.parametrize("spec", [T5Bias(8, 20), T5Bias(8, 20, True), T5Bias()])
def test_t5_adds_the_bias_of_the_bucket(spec: T5Bias) -> None:
    module, table = make(spec, 3)
    assert table.shape == (spec.buckets, 3)
    assert logical_axes(nnx.state(module, nnx.Param)) == {("table",): ("buckets", "heads")}
    query, key = np.array([[0, 40, 7], [5, 6, 300]], np.int32), np.array([[0, 3, 41, 150]] * 2, np.int32)
    found = jax.jit(lambda q, k: spec.at_logits(module, 3, q, k))(query, key)
    assert found.shape == (2, 3, 3, 4) and found.dtype == jnp.float32
    for batch, head, q, k in np.ndindex(*found.shape):
        bucket = spec.bucket(np.array([key[batch, k] - query[batch, q]]))
        assert found[batch, head, q, k] == table[bucket[0], head]


def test_t5_learns_every_bucket_it_used() -> None:
    spec = T5Bias(8, 20)
    graph, state = nnx.split(spec.weights(SIZES, 2, nnx.Rngs(0)))
    index = jnp.arange(12)[None]
    gradient = jax.grad(lambda s: spec.at_logits(nnx.merge(graph, s), 2, index, index).sum())(state)
    counts = np.bincount(spec.bucket(np.subtract.outer(np.arange(12), np.arange(12)).T).ravel(), minlength=8)
    np.testing.assert_array_equal(gradient["table"][...], np.stack([counts, counts], 1))


@pytest.mark.parametrize("spec", [Alibi(), T5Bias(8, 20), T5Bias(8, 20, True)])
def test_a_step_of_a_cache_has_the_bias_of_its_row(spec: Positions) -> None:
    module = spec.weights(SIZES, 2, nnx.Rngs(0))
    index = jnp.arange(9)[None]
    whole = np.asarray(spec.at_logits(module, 2, index, index))
    # A ring of six slots after six and after two tokens: keys out of order, and slots that are still empty.
    held = jnp.array([[6, 1, 2, 3, 4, 5], [0, 1, 2, -1, -1, -1]])
    step = np.asarray(spec.at_logits(module, 2, jnp.array([[6], [2]]), held))
    assert step.shape == (2, 2, 1, 6) and np.isfinite(step).all()
    np.testing.assert_array_equal(step[0, :, 0], whole[0, :, 6][:, np.array(held[0])])
    np.testing.assert_array_equal(step[1, :, 0, :3], whole[0, :, 2, :3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T5Bias(0), "T5Bias.buckets is 0; it is a multiple of 2, and positive"),
        (lambda: T5Bias(6, bidirectional=True), "T5Bias.buckets is 6; it is a multiple of 4, and positive"),
        (lambda: T5Bias(32, 16), r"T5Bias.max_distance is 16; it is above the number of .* of their own \(16\)"),
    ],
)
def test_fields_are_checked(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
