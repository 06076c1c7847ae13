"""Position encodings of the input against NumPy float64 and against stored numbers of transformers."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.spec import build, describe, override
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.positions import (
    Alibi,
    Learned,
    NoPositions,
    Positions,
    Rope,
    Sinusoidal,
    T5Bias,
    TimingSignal,
    angles_fit,
    default_positions,
)  # fmt: skip
from model.precision import Precision

SIZES = Sizes(embed=6, layers=2, dropout=0.0, parametrization=Standard(0.02), precision=Precision())
GOLDENS = json.loads((Path(__file__).parent / "goldens" / "positions.json").read_text())


def paper(positions: np.ndarray, embed: int) -> np.ndarray:
    """Vaswani 2017, section 3.5, feature by feature."""
    result = np.zeros((*positions.shape, embed))
    for feature in range(embed):
        angle = positions / 10_000.0 ** (2 * (feature // 2) / embed)
        result[..., feature] = np.cos(angle) if feature % 2 else np.sin(angle)
    return result


def tensor2tensor(positions: np.ndarray, embed: int) -> np.ndarray:
    """Wavelengths from 2 pi to 20,000 pi in equal ratios; sines, cosines, and a zero for an odd feature."""
    scales = np.geomspace(1, 10_000, embed // 2)
    angles = positions[..., None] / scales
    return np.concatenate([np.sin(angles), np.cos(angles), np.zeros((*positions.shape, embed % 2))], -1)


@pytest.mark.parametrize("embed", [6, 7, 64])
@pytest.mark.parametrize(("spec", "formula"), [(Sinusoidal(), paper), (TimingSignal(), tensor2tensor)])
def test_waves_are_their_formula(spec: Sinusoidal, formula, embed: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 9, embed)).astype(np.float32)
    positions = np.stack([np.arange(9), rng.integers(0, 1000, 9)]).astype(np.int32)
    found = spec.at_input(None, jnp.asarray(x), jnp.asarray(positions))
    np.testing.assert_allclose(found, x + formula(positions, embed), atol=1e-4)
    assert spec.weights(SIZES, 2, nnx.Rngs(0)) is None and spec.limit() is None
    rounded = spec.at_input(None, jnp.asarray(x, jnp.bfloat16), jnp.asarray(positions))
    assert rounded.dtype == jnp.bfloat16


@pytest.mark.parametrize("case", GOLDENS["waves"], ids=lambda case: case["spec"]["type"])
def test_waves_are_those_of_transformers(case) -> None:
    spec = build(case["spec"], Positions)
    found = spec.waves(jnp.array([[0, 1, 2, 77, 299]]), 6)[0]
    np.testing.assert_allclose(found, case["rows"], atol=5e-6)


def test_learned_adds_rows_of_its_table() -> None:
    spec = Learned(5)
    module = spec.weights(SIZES, 2, nnx.Rngs(0))
    table = np.asarray(module.table[...])
    assert table.shape == (5, 6) and spec.limit() == 5
    x = np.random.default_rng(2).normal(size=(2, 3, 6)).astype(np.float32)
    positions = np.array([[0, 1, 4], [3, 0, 1]], np.int32)
    found = np.asarray(spec.at_input(module, jnp.asarray(x), jnp.asarray(positions)))
    expected = [[x[b, s] + table[positions[b, s]] for s in range(3)] for b in range(2)]
    np.testing.assert_array_equal(found, np.array(expected))
    heads = jnp.ones((2, 3, 1, 6))
    assert spec.at_heads(heads, jnp.asarray(positions)) is heads
    assert spec.at_logits(module, 1, jnp.asarray(positions), jnp.asarray(positions)) is None


def test_learned_starts_after_its_offset() -> None:
    spec = Learned(5, offset=2)
    module = spec.weights(SIZES, 2, nnx.Rngs(0))
    table = np.asarray(module.table[...])
    assert table.shape == (7, 6) and spec.limit() == 5
    found = spec.at_input(module, jnp.zeros((1, 3, 6)), jnp.array([[0, 4, 2]]))
    np.testing.assert_array_equal(found[0], table[[2, 6, 4]])
    assert logical_axes(nnx.state(module, nnx.Param)) == {("table",): ("position", "embed")}


def test_no_positions_change_nothing() -> None:
    spec, positions = NoPositions(), jnp.arange(3)[None]
    x, heads = jnp.ones((1, 3, 6)), jnp.ones((1, 3, 2, 3))
    assert spec.weights(SIZES, 2, nnx.Rngs(0)) is None and spec.limit() is None
    assert spec.at_input(None, x, positions) is x and spec.at_heads(heads, positions) is heads
    assert spec.at_logits(None, 2, positions, positions) is None and spec.softmax_factor() == 1


def test_rows_count_from_zero() -> None:
    found = default_positions(jnp.ones((2, 4), jnp.int32))
    assert found.tolist() == [[0, 1, 2, 3]] * 2 and found.dtype == jnp.int32


def test_rope_needs_pairs() -> None:
    with pytest.raises(ValueError, match="head_dim is 7; Rope .* must be even"):
        angles_fit(7, Rope())
    angles_fit(7, NoPositions())
    angles_fit(7, Alibi())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Learned(0), "Learned.length is 0; it is at least 1"),
        (lambda: Learned(4, -1), "Learned.offset is -1; it is at least 0"),
        (lambda: Sinusoidal(1.0), "Sinusoidal.theta is 1.0; it is above 1"),
        (lambda: TimingSignal(0.5), "TimingSignal.theta is 0.5; it is above 1"),
    ],
)
def test_what_cannot_be_is_told(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "text",
    [
        "Sinusoidal()", "TimingSignal(theta=100.0)", "Learned(512,offset=2)", "Alibi()", "T5Bias(16,64,true)",
        "Rope(5e5,scaling=Llama3Scaling(32.0))", "Rope(scaling=Yarn(4.0,4096,truncate=false),fraction=0.5)",
        "Rope(scaling=LongRope((1.0,1.5),(2.0,9.5),4096,factor=32.0))", "Rope(scaling=DynamicNTK(2.0,64))",
        "Rope(scaling=LinearScaling(8.0),interleaved=true)", "Rope(scaling=none)",
    ],
)  # fmt: skip
def test_every_encoding_can_be_named_on_the_command_line(text: str) -> None:
    from model.attention import Attention

    found = override(Attention(2), [f"positions={text}"]).positions
    assert build(json.loads(json.dumps(describe(found))), Positions) == found
    assert type(found).__name__ == text.split("(")[0] and isinstance(T5Bias(), Positions)
