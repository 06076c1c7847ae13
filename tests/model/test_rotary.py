"""Rotations as products of complex numbers in NumPy; what their products know of positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from model.parameters import Sizes
from model.parametrization import Standard
from model.positions import (
    DynamicNTK,
    LinearScaling,
    Llama3Scaling,
    LongRope,
    Rope,
    Yarn,
    angles_fit,
)
from model.precision import Precision

SIZES = Sizes(embed=6, layers=2, dropout=0.0, parametrization=Standard(0.02), precision=Precision())


def turned(
    x: np.ndarray, positions: np.ndarray, theta: float, fraction: float = 1.0, interleaved: bool = False
) -> np.ndarray:
    """Two features are one complex number; position p turns pair i of n by p theta^(-i/n)."""
    half = int(x.shape[-1] * fraction) // 2
    pairs = (2 * np.arange(half), 2 * np.arange(half) + 1) if interleaved else (np.arange(half), np.arange(half) + half)
    numbers = x[..., pairs[0]].astype(np.complex128) + 1j * x[..., pairs[1]]
    angle = positions[:, :, None, None] * theta ** (-np.arange(half) / half)
    numbers = numbers * np.exp(1j * angle)
    result = x.astype(np.float64)
    result[..., pairs[0]], result[..., pairs[1]] = numbers.real, numbers.imag
    return result


@pytest.mark.parametrize("theta", [10_000.0, 100.0])
@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("interleaved", [False, True])
def test_rope_turns_complex_numbers(theta: float, fraction: float, interleaved: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 3, 16)).astype(np.float32)
    positions = np.stack([np.arange(9), rng.integers(0, 2000, 9)]).astype(np.int32)
    spec = Rope(theta, fraction=fraction, interleaved=interleaved)
    found = np.asarray(spec.at_heads(jnp.asarray(x), jnp.asarray(positions)))
    expected = turned(x, positions, theta, fraction, interleaved)
    # Angles are float32: at position 2000 they are rounded to about 1e-4.
    np.testing.assert_allclose(found[0], expected[0], atol=5e-6)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(found[..., int(16 * fraction) :], x[..., int(16 * fraction) :])


SPECS = {
    "halves": Rope(),
    "interleaved": Rope(interleaved=True),
    "partial": Rope(fraction=0.5),
    "partial, interleaved": Rope(50.0, fraction=0.75, interleaved=True),
    "linear": Rope(scaling=LinearScaling(4.0)),
    "yarn": Rope(scaling=Yarn(4.0, 64)),
    "llama 3": Rope(scaling=Llama3Scaling(8.0, original=64)),
    "longrope": Rope(fraction=0.5, scaling=LongRope((1.0, 1.5), (2.0, 9.0), 5000, 8.0)),
    "dynamic, within": Rope(scaling=DynamicNTK(2.0, 5000)),
}


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.integers(0, 1000))
@pytest.mark.parametrize("name", SPECS)
def test_products_know_only_distances(name: str, seed: int, shift: int) -> None:
    spec = SPECS[name]
    rng = np.random.default_rng(seed)
    q, k = (jnp.asarray(rng.normal(size=(1, 12, 2, 8)), jnp.float32) for _ in range(2))
    row = rng.integers(0, 40, (1, 12)).astype(np.int32)

    def products(by: int) -> np.ndarray:
        parts = (np.asarray(spec.at_heads(x, jnp.asarray(row + by))) for x in (q, k))
        return np.einsum("bqhd,bthd->bhqt", *parts)

    # Angles up to 1040 are rounded by up to 6e-5, and up to eight features of size 3 add up.
    np.testing.assert_allclose(products(shift), products(0), atol=3e-3)
    assert np.abs(products(0) - np.einsum("bqhd,bthd->bhqt", q, k)).max() > 0.1


def test_the_amplitude_is_of_what_turns_alone() -> None:
    x, positions = jnp.ones((1, 3, 1, 8)), jnp.array([[0, 40, 4000]])
    found = Rope(fraction=0.5, scaling=Yarn(4.0, 64, attention_factor=1.5)).at_heads(x, positions)
    pairs = np.asarray(found[..., :2] ** 2 + found[..., 2:4] ** 2)
    np.testing.assert_allclose(pairs, 2 * 1.5**2, rtol=1e-5)
    np.testing.assert_array_equal(found[..., 4:], x[..., 4:])


def test_the_format_of_heads_is_kept() -> None:
    x, positions = jnp.ones((1, 3, 1, 8)), jnp.array([[0, 40, 3001]])
    for spec in (SPECS["halves"], SPECS["partial, interleaved"]):
        wide = np.asarray(spec.at_heads(x, positions))
        found = spec.at_heads(x.astype(jnp.bfloat16), positions)
        assert found.dtype == jnp.bfloat16
        # Cosine, sine and each product are rounded to 8 bits; the angle is not.
        np.testing.assert_allclose(np.asarray(found, np.float32), wide, atol=0.03)


def test_a_step_of_a_cache_is_a_row_of_the_whole() -> None:
    x = jnp.asarray(np.random.default_rng(4).normal(size=(2, 7, 2, 8)), jnp.float32)
    positions = jnp.stack([jnp.arange(7), jnp.arange(3, 10)])
    for name in ("partial", "yarn", "dynamic, within"):
        turn = jax.jit(SPECS[name].at_heads)
        step, whole = turn(x[:, 5:6], positions[:, 5:6]), turn(x, positions)
        np.testing.assert_allclose(step, whole[:, 5:6], atol=1e-6, err_msg=name)


def test_rope_acts_on_heads_alone() -> None:
    positions = jnp.arange(4)[None]
    x = jnp.ones((1, 4, 6))
    assert Rope().weights(SIZES, 2, nnx.Rngs(0)) is None and Rope().limit() is None
    assert Rope().at_input(None, x, positions) is x
    assert Rope().at_logits(None, 2, positions, positions) is None
    assert Rope().softmax_factor() == 1


@pytest.mark.parametrize(
    ("head_dim", "spec", "message"),
    [
        (7, Rope(), "^head_dim is 7; Rope turns pairs of features, so it must be even$"),
        (
            20, Rope(fraction=0.25),
            r"^head_dim is 20, of which Rope.fraction \(0.25\) makes 5 features turn; they turn in pairs, so .* even",
        ),
        (4, Rope(fraction=0.1), "makes 0 features turn; .* at least 2$"),
        (8, Rope(scaling=DynamicNTK(2.0, 64), fraction=0.25), "Rope turns 2 features of a head; DynamicNTK needs"),
        (
            8, Rope(scaling=LongRope((1.0,), (1.0,) * 4, 64)),
            "LongRope.short_factors has 1 values; Rope turns 8 features of a head, so it has 4",
        ),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit_are_told(head_dim: int, spec: Rope, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        angles_fit(head_dim, spec)


def test_heads_that_fit() -> None:
    # Phi-2 turns 32 of 80 features, GPT-NeoX 24 of 96.
    angles_fit(80, Rope(fraction=0.4))
    angles_fit(96, Rope(fraction=0.25))
    assert (Rope(fraction=0.4).turning(80), Rope(fraction=0.25).turning(96)) == (32, 24)


def test_fields_are_checked() -> None:
    with pytest.raises(ValueError, match="Rope.theta is 1.0; it is above 1"):
        Rope(1.0)
    for fraction in (0.0, 1.5):
        with pytest.raises(ValueError, match="Rope.fraction is .*; it is above 0 and at most 1"):
            Rope(fraction=fraction)
