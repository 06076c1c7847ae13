"""Scaled rotary frequencies against their definitions in float64 and stored numbers of transformers."""

import dataclasses
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.spec import build
from model.positions import (
    DynamicNTK,
    LinearScaling,
    Llama3Scaling,
    LongRope,
    Positions,
    Rope,
    RopeScaling,
    Yarn,
    angles_fit,
)  # fmt: skip
from model.rope_scaling import unscaled

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "rope_scaling.json").read_text())
SHORT, LONG = jnp.array([[0, 5, 63]]), jnp.array([[0, 5, 999]])


def powers(theta: float, size: int) -> np.ndarray:
    return theta ** (-np.arange(0, size, 2) / size)


def frequencies(scaling: RopeScaling, theta: float, size: int, row: jax.Array = SHORT) -> np.ndarray:
    found = np.asarray(scaling.frequencies(theta, size, row))
    assert found.dtype == np.float32
    return found


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case["name"])
def test_turns_are_those_of_transformers(case) -> None:
    spec = build(case["spec"], Positions)
    assert isinstance(spec, Rope)
    angles_fit(case["head_dim"], spec)
    positions = jnp.array([case["positions"]])
    size, stored = spec.turning(case["head_dim"]), np.array(case["frequencies"], np.float32)
    scaling = spec.scaling
    found = unscaled(spec.theta, size) if scaling is None else scaling.frequencies(spec.theta, size, positions)
    # Where the length is known only at run time, the power is XLA's.
    units = 12 if isinstance(scaling, DynamicNTK) else 2
    np.testing.assert_array_max_ulp(np.asarray(found), stored, units)
    assert case["amplitude"] == (1.0 if scaling is None else scaling.amplitude())
    angles = np.outer(case["positions"][-2:], stored)
    for ours, theirs in zip(jax.jit(spec.turns, static_argnums=0)(size, positions), ("cos", "sin"), strict=True):
        apart = np.abs(np.asarray(ours)[0, -2:] - case[theirs])
        assert (apart <= case["amplitude"] * (5e-7 + angles * units * 2.0**-23)).all()


def test_unscaled_is_its_formula() -> None:
    for theta, size in ((10_000.0, 128), (5e5, 64), (10.0, 2)):
        np.testing.assert_allclose(unscaled(theta, size), powers(theta, size), rtol=1e-6)
        assert unscaled(theta, size)[0] == 1


def test_linear_divides() -> None:
    np.testing.assert_allclose(frequencies(LinearScaling(4.0), 1e4, 16), powers(1e4, 16) / 4, rtol=1e-6)


def test_dynamic_ntk_grows_with_the_longest_row() -> None:
    spec, theta, size = DynamicNTK(2.0, 64), 1e4, 16
    np.testing.assert_array_equal(frequencies(spec, theta, size), unscaled(theta, size))
    for last in (64, 100, 1_000):
        base = theta * (2.0 * (last + 1) / 64 - 1) ** (size / (size - 2))
        rows = jnp.array([[3, 1], [last, 0]])
        np.testing.assert_allclose(frequencies(spec, theta, size, rows), powers(base, size), rtol=3e-6)
    # The longest wave is stretched as by linear scaling, the shortest not at all (Peng 2023, section 3.1).
    found = frequencies(spec, theta, size, jnp.array([[127]])) / powers(theta, size)
    np.testing.assert_allclose(found[[0, -1]], [1, 1 / 3], rtol=1e-5)


@pytest.mark.parametrize("truncate", [True, False])
def test_yarn_keeps_what_turns_often(truncate: bool) -> None:
    theta, size, original, factor = 1e4, 128, 4096, 16.0
    spec = Yarn(factor, original, truncate=truncate)
    whole = powers(theta, size)
    share = (frequencies(spec, theta, size) / whole - 1 / factor) / (1 - 1 / factor)
    turns = original * whole / (2 * math.pi)
    np.testing.assert_allclose(share[turns >= 32], 1, atol=1e-5)
    np.testing.assert_allclose(share[turns <= 1], 0, atol=1e-5)
    mixed = share[(turns < 32) & (turns > 1)]
    assert mixed.size > 10 and (mixed >= -1e-6).all() and (mixed <= 1 + 1e-6).all()
    # Linear in the number of the feature; the bounds lie where a wave turns just so often.
    np.testing.assert_allclose(np.diff(mixed, 2), 0, atol=1e-5)
    first, last = (size * math.log(original / (n * 2 * math.pi)) / (2 * math.log(theta)) for n in (32, 1))
    width = math.ceil(last) - math.floor(first) if truncate else last - first
    np.testing.assert_allclose(np.diff(mixed), -1 / width, atol=1e-5)


def test_yarn_amplitudes() -> None:
    spec = Yarn(40.0, 4096)
    assert spec.amplitude() == pytest.approx(0.1 * math.log(40) + 1) and spec.softmax_factor() == 1
    assert dataclasses.replace(spec, attention_factor=1.5).amplitude() == 1.5
    # DeepSeek-V3: the same weight twice, so nothing is left for the turns, and all for the logits.
    both = dataclasses.replace(spec, mscale=1.0, mscale_all_dim=1.0)
    assert both.amplitude() == 1
    assert both.softmax_factor() == pytest.approx((0.1 * math.log(40) + 1) ** 2)
    assert Rope(scaling=both).softmax_factor() == both.softmax_factor()
    assert dataclasses.replace(spec, mscale=0.7).amplitude() == spec.amplitude()


def test_llama3_by_the_number_of_turns() -> None:
    theta, size = 5e5, 128
    for spec in (Llama3Scaling(), Llama3Scaling(32.0), Llama3Scaling(4.0, 2.0, 8.0, 1024)):
        expected = []
        for whole in powers(theta, size):
            turns = spec.original * whole / (2 * math.pi)
            share = min(max((turns - spec.low) / (spec.high - spec.low), 0), 1)
            expected.append(share * whole + (1 - share) * whole / spec.factor)
        np.testing.assert_allclose(frequencies(spec, theta, size), expected, rtol=2e-6)


def test_longrope_has_two_lists() -> None:
    spec = LongRope((1.0, 1.5, 2.0), (3.0, 5.0, 9.0), 64, 16.0)
    np.testing.assert_allclose(frequencies(spec, 1e4, 6), powers(1e4, 6) / [1, 1.5, 2], rtol=1e-6)
    np.testing.assert_allclose(frequencies(spec, 1e4, 6, LONG), powers(1e4, 6) / [3, 5, 9], rtol=1e-6)
    # 64 positions end at 63; one row beyond decides for all.
    assert frequencies(spec, 1e4, 6, jnp.array([[0, 1], [63, 2]]))[0] == 1
    assert frequencies(spec, 1e4, 6, jnp.array([[0, 1], [64, 2]]))[0] == np.float32(1 / 3)
    assert spec.amplitude() == pytest.approx(math.sqrt(1 + math.log(16) / math.log(64)))
    assert dataclasses.replace(spec, factor=0.5).amplitude() == 1
    assert dataclasses.replace(spec, attention_factor=1.25).amplitude() == 1.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearScaling(0.5), "LinearScaling.factor is 0.5; it is at least 1"),
        (lambda: DynamicNTK(2.0, 0), "DynamicNTK.original is 0; it is at least 1"),
        (lambda: Yarn(0.0, 64), "Yarn.factor is 0.0; it is at least 1"),
        (lambda: Yarn(2.0, 64, beta_slow=0.0), "Yarn.beta_slow is 0.0; it is above 0"),
        (lambda: Yarn(2.0, 64, 1.0, 2.0), r"Yarn.beta_fast is 1.0; it is at least Yarn.beta_slow \(2.0\)"),
        (lambda: Yarn(2.0, 64, attention_factor=-1.0), "Yarn.attention_factor is -1.0; it is above 0"),
        (lambda: Yarn(2.0, 64, mscale=-1.0), "Yarn.mscale is -1.0; it is at least 0"),
        (lambda: Llama3Scaling(8.0, 4.0, 4.0), r"Llama3Scaling.high is 4.0; it is above Llama3Scaling.low \(4.0\)"),
        (lambda: Llama3Scaling(low=0.0), "Llama3Scaling.low is 0.0; it is above 0"),
        (lambda: LongRope((1.0,), (0.0,), 64), "LongRope.long_factors has 0.0 in it; each is above 0"),
        (lambda: LongRope((1.0,), (1.0,), 1), "LongRope.original is 1; it is at least 2"),
    ],
)  # fmt: skip
def test_fields_are_checked(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
