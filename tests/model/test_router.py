"""Routers against their formulas in NumPy float64, token by token."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model import router
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.precision import Precision
from model.router import Router, RouterLayer, Sigmoid, Softmax, SoftmaxOfChosen
from sharding.placements import DataParallel
from train.weights import is_matrix

RNG = np.random.default_rng(3)
EXPERTS = 8
LOGITS = RNG.normal(size=(3, 5, EXPERTS)).astype(np.float32)
CORRECTION = RNG.normal(size=EXPERTS).astype(np.float32)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def largest(ranks: np.ndarray, count: int) -> list[int]:
    return sorted(range(len(ranks)), key=lambda i: -ranks[i])[:count]


def by_softmax(x, k, bias):
    p = softmax(x)
    chosen = largest(p + bias, k)
    return chosen, p[chosen] / p[chosen].sum()


def by_bare_softmax(x, k, bias):
    p = softmax(x)
    chosen = largest(p + bias, k)
    return chosen, 1.5 * p[chosen]


def by_chosen(x, k, bias):
    chosen = largest(x + bias, k)
    return chosen, softmax(x[chosen])


def by_sigmoid(x, k, bias):
    s = 1 / (1 + np.exp(-x))
    chosen = largest(s + bias, k)
    return chosen, s[chosen]


def by_groups(x, k, bias):
    """Four groups of two, of which two are kept; one group's score is then all of it."""
    s = 1 / (1 + np.exp(-x))
    ranks = s + bias
    groups = [(ranks[2 * g : 2 * g + 2].sum(), g) for g in range(4)]
    kept = {g for _, g in sorted(groups)[-2:]}
    ranks = np.array([r if i // 2 in kept else -np.inf for i, r in enumerate(ranks)])
    chosen = largest(ranks, k)
    return chosen, 2.5 * s[chosen] / s[chosen].sum()


def by_halves(x, k, bias):
    """Two groups of four, of which one is kept: by its two largest."""
    s = 1 / (1 + np.exp(-x))
    ranks = s + bias
    score = [np.sort(half)[-2:].sum() for half in (ranks[:4], ranks[4:])]
    first = 4 * int(np.argmax(score))
    chosen = [first + i for i in largest(ranks[first : first + 4], k)]
    return chosen, s[chosen] / s[chosen].sum()


CASES: dict[str, tuple[Router, Callable]] = {
    "softmax": (Softmax(), by_softmax),
    "not normalised": (Softmax(normalise=False, scale=1.5), by_bare_softmax),
    "softmax of chosen": (SoftmaxOfChosen(), by_chosen),
    "sigmoid": (Sigmoid(normalise=False), by_sigmoid),
    "groups": (Sigmoid(4, 2, scale=2.5), by_groups),
    "halves": (Sigmoid(2, 1), by_halves),
}


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_choices_are_those_of_numpy(name: str, corrected: bool) -> None:
    router, formula = CASES[name]
    correction = jnp.asarray(CORRECTION) if corrected else None
    for k in (1, 3):
        experts, weights = router.choose(jnp.asarray(LOGITS), k, correction)
        assert weights.dtype == jnp.float32
        for row in range(3):
            for place in range(5):
                x = LOGITS[row, place].astype(np.float64)
                chosen, wanted = formula(x, k, CORRECTION.astype(np.float64) * corrected)
                assert list(np.asarray(experts[row, place])) == list(chosen)
                np.testing.assert_allclose(weights[row, place], wanted, rtol=1e-5)
    uncorrected = router.choose(jnp.asarray(LOGITS), 3)[0]
    assert not corrected or not np.array_equal(experts, uncorrected)


def test_a_correction_has_no_gradient_and_scores_have_one() -> None:
    def total(logits, correction):
        weights = Sigmoid(2, 1).choose(logits, 2, correction).weights
        return (weights * jnp.array([1.0, 2.0])).sum()

    logits, correction = jax.grad(total, argnums=(0, 1))(
        jnp.asarray(LOGITS), jnp.asarray(CORRECTION)
    )
    assert not np.any(correction) and np.abs(logits).max() > 1e-3


@pytest.mark.parametrize("router", [Softmax(), SoftmaxOfChosen(), Sigmoid()])
def test_probabilities_sum_to_one(router: Router) -> None:
    found = router.probabilities(jnp.asarray(LOGITS))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(np.argmax(found, -1), LOGITS.argmax(-1))


@pytest.mark.parametrize("router", [Softmax(), SoftmaxOfChosen()])
def test_logits_are_float32_whatever_the_stream_is(router: Router) -> None:
    sizes = Sizes(6, layers=2, dropout=0.0, parametrization=Standard(0.5), precision=Precision())
    layer = RouterLayer(router, EXPERTS, sizes, nnx.Rngs(0))
    axes = logical_axes(nnx.state(layer, nnx.Param))
    assert {k: is_matrix(v) for k, v in axes.items()} == (
        {("weight",): True} | ({("bias",): False} if router.has_bias else {})
    )
    if router.has_bias:
        layer.bias[...] = jnp.asarray(CORRECTION)
    x = jnp.asarray(RNG.normal(size=(2, 3, 6)), jnp.bfloat16)
    wanted = np.asarray(x, np.float64) @ np.asarray(layer.weight[...], np.float64)
    wanted = wanted + (CORRECTION if router.has_bias else 0)
    found = layer(x)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("router", "top_k", "wrong"),
    [
        (Softmax(), 9, "MoE.top_k is 9; it is from 1 to MoE.experts .8."),
        (Softmax(), 0, "MoE.top_k is 0"),
        (Sigmoid(3), 2, "Sigmoid.groups is 3; it divides MoE.experts .8. into 2 or more each"),
        (Sigmoid(8, 4), 2, "Sigmoid.groups is 8"),
        (Sigmoid(4, 2), 5, "MoE.top_k is 5; Sigmoid leaves 4 experts to choose from"),
    ],
)
def test_what_cannot_be_chosen_is_told(router: Router, top_k: int, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        router.check(EXPERTS, top_k)
    with pytest.raises(ValueError, match="Sigmoid.kept_groups is 3; it is from 1 to groups .2."):
        Sigmoid(2, 3)


def test_the_largest_are_those_of_top_k_and_no_row_is_gathered_for_them() -> None:
    """Ties among them."""
    x = jnp.asarray(np.random.default_rng(3).integers(0, 5, (16, 7)), jnp.float32)
    np.testing.assert_array_equal(router.largest(x, 4), jax.lax.top_k(x, 4)[1])
    rows = DataParallel().on().batch
    program = jax.jit(lambda x: router.largest(x, 4), in_shardings=rows, out_shardings=rows).lower(x).compile()
    assert "all-gather" not in program.as_text()
