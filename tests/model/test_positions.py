"""Position encodings against NumPy float64; rotations as products of complex numbers."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.parameters import Sizes
from model.positions import Learned, NoPositions, Rope, angles_fit, default_positions
from model.precision import Precision

SIZES = Sizes(embed=6, layers=2, dropout=0.0, init_std=0.02, precision=Precision())


def turned(x: np.ndarray, positions: np.ndarray, theta: float) -> np.ndarray:
    """Features i and i + half are one complex number; position p turns it by p theta^(-i/half)."""
    half = x.shape[-1] // 2
    numbers = x[..., :half].astype(np.complex128) + 1j * x[..., half:]
    angle = positions[:, :, None, None] * theta ** (-np.arange(half) / half)
    numbers = numbers * np.exp(1j * angle)
    return np.concatenate([numbers.real, numbers.imag], axis=-1)


@pytest.mark.parametrize("theta", [10_000.0, 100.0])
def test_rope_turns_complex_numbers(theta: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 3, 8)).astype(np.float32)
    positions = np.stack([np.arange(9), rng.integers(0, 2000, 9)]).astype(np.int32)
    found = np.asarray(Rope(theta).at_heads(jnp.asarray(x), jnp.asarray(positions)))
    # Angles are float32: at position 2000 they are rounded to about 1e-4.
    np.testing.assert_allclose(found[0], turned(x, positions, theta)[0], atol=5e-6)
    np.testing.assert_allclose(found, turned(x, positions, theta), atol=1e-3)
    np.testing.assert_allclose(
        np.linalg.norm(found, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5
    )


def test_rope_knows_only_distances() -> None:
    rng = np.random.default_rng(1)
    q, k = (jnp.asarray(rng.normal(size=(1, 12, 2, 8)), jnp.float32) for _ in range(2))

    def products(shift: int) -> np.ndarray:
        positions = jnp.arange(shift, shift + 12)[None]
        return np.einsum(
            "bqhd,bthd->bhqt", *(np.asarray(Rope().at_heads(x, positions)) for x in (q, k))
        )

    np.testing.assert_allclose(products(37), products(0), atol=2e-4)
    assert np.abs(products(0) - np.einsum("bqhd,bthd->bhqt", q, k)).max() > 0.5


def test_rope_acts_on_heads_alone() -> None:
    positions = jnp.arange(4)[None]
    x = jnp.ones((1, 4, 6))
    assert Rope().weights(SIZES, nnx.Rngs(0)) is None and Rope().limit() is None
    assert Rope().at_input(None, x, positions) is x
    assert Rope().at_logits(None, 2, positions, positions) is None


def test_learned_adds_rows_of_its_table() -> None:
    spec = Learned(5)
    module = spec.weights(SIZES, nnx.Rngs(0))
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


def test_no_positions_change_nothing() -> None:
    spec, positions = NoPositions(), jnp.arange(3)[None]
    x, heads = jnp.ones((1, 3, 6)), jnp.ones((1, 3, 2, 3))
    assert spec.weights(SIZES, nnx.Rngs(0)) is None and spec.limit() is None
    assert spec.at_input(None, x, positions) is x and spec.at_heads(heads, positions) is heads
    assert spec.at_logits(None, 2, positions, positions) is None


def test_rows_count_from_zero() -> None:
    found = default_positions(jnp.ones((2, 4), jnp.int32))
    assert found.tolist() == [[0, 1, 2, 3]] * 2 and found.dtype == jnp.int32


def test_rope_needs_pairs() -> None:
    with pytest.raises(ValueError, match="head_dim is 7; Rope .* must be even"):
        angles_fit(7, Rope())
    angles_fit(7, NoPositions())
