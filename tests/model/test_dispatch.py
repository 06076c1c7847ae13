"""Ways of dispatch against one another and against loops over tokens in NumPy."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from model import grouped
from model.dispatch import Capacity, Dispatch, Everyone, Experts
from model.dropless import Dropless
from model.feedforward import MLP, GatedMLP
from model.moe import MoE
from model.parameters import Sizes
from model.parametrization import Standard
from model.precision import Precision
from model.router import Choice, Softmax

SIZES = Sizes(embed=8, layers=2, dropout=0.0, parametrization=Standard(0.5), precision=Precision(compute="float32"))
BATCH, SEQ, EXPERTS, TOP_K = 3, 7, 5, 2
# All that is given to a dispatch: the sizes are odd, and no group of three or four divides the row.
X = np.random.default_rng(0).normal(size=(BATCH, SEQ, 8)).astype(np.float32)
QUICK = {"xla_backend_optimization_level": 0}
SPECS = {"gated": GatedMLP(6, bias=True), "plain": MLP(6)}


@functools.cache
def result(expert: str, way: Dispatch, traced_for: str) -> Any:
    """Value, output and gradients of weights and input."""
    spec = MoE(EXPERTS, TOP_K, SPECS[expert], dispatch=way)
    graph, state = nnx.split(spec.build(SIZES, nnx.Rngs(0)))
    rng = np.random.default_rng(1)
    state = jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape), w.dtype), state)

    @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def value(state: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, routing = nnx.merge(graph, state).routed(x)
        return jnp.sin(y).sum(), (y, routing.figures["dropped"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouped, "platform", lambda: traced_for)
        patch.setattr(grouped, "device_kind", lambda: "TPU v5p")
        return jax.jit(value, compiler_options=QUICK)(state, jnp.asarray(X))


@pytest.mark.parametrize("expert", SPECS)
@pytest.mark.parametrize(
    ("way", "traced_for"),
    [
        (Dropless(), "cpu"),
        (Dropless(), "tpu"),
        (Capacity(EXPERTS / TOP_K), "cpu"),
        (Capacity(10.0, group=3), "cpu"),
    ],
)
def test_what_drops_nothing_is_what_all_experts_compute(
    way: Dispatch, traced_for: str, expert: str
) -> None:
    (_, (y, dropped)), gradients = result(expert, way, traced_for)
    (_, (wanted, _)), wanted_gradients = result(expert, Everyone(), "cpu")
    assert float(dropped) == 0
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    for found, other in zip(
        jax.tree.leaves(gradients), jax.tree.leaves(wanted_gradients), strict=True
    ):
        np.testing.assert_allclose(found, other, rtol=0, atol=2e-5 * np.abs(other).max())
        assert np.abs(other).max() > 1e-3


def doubled(weights: Any, x: jax.Array, products: Any) -> jax.Array:
    """Expert e multiplies by e + 1."""
    width = x.shape[-1]
    weight = np.arange(1, EXPERTS + 1)[:, None, None] * np.eye(width)
    return products.outwards(x, nnx.Param(jnp.asarray(weight, jnp.float32)), None)


def dropped_in_turn(experts: np.ndarray, places: int, group: int) -> np.ndarray:
    """Whether each choice is kept: first choices before second ones, then by position."""
    kept = np.zeros(experts.shape, bool)
    for row in range(experts.shape[0]):
        for first in range(0, SEQ, group):
            taken = [0] * EXPERTS
            for k in range(TOP_K):
                for s in range(first, min(first + group, SEQ)):
                    expert = experts[row, s, k]
                    kept[row, s, k] = taken[expert] < places
                    taken[expert] += 1
    return kept


@pytest.mark.parametrize(
    ("factor", "group", "places"), [(0.5, 0, 2), (1.0, 0, 3), (1.0, 4, 2), (0.1, 3, 1), (1.25, 50, 4)]
)
def test_the_right_tokens_are_dropped(factor: float, group: int, places: int) -> None:
    rng = np.random.default_rng(2)
    # Skewed, so that some experts overflow and others stay empty.
    logits = rng.normal(size=(BATCH, SEQ, EXPERTS)) + np.arange(EXPERTS)
    choice = Softmax().choose(jnp.asarray(logits, jnp.float32), TOP_K)
    experts, weights = np.asarray(choice.experts), np.asarray(choice.weights, np.float64)
    kept = dropped_in_turn(experts, places, min(group or SEQ, SEQ))
    assert 0 < kept.sum() < kept.size
    way = Capacity(factor, group)
    call = jax.jit(lambda x, c: way(Experts(doubled, {}, {}, EXPERTS), x, c), compiler_options=QUICK)
    y, dropped = call(jnp.asarray(X), choice)
    factors = (weights * kept * (experts + 1)).sum(-1, keepdims=True)
    np.testing.assert_allclose(y, factors * X, rtol=1e-5, atol=1e-6)
    assert float(dropped) == pytest.approx(1 - kept.mean(), abs=1e-6)


@settings(max_examples=20)
@given(
    st.lists(st.lists(st.integers(0, EXPERTS - 1), min_size=2, max_size=2, unique=True),
             min_size=6, max_size=6),
    st.sampled_from(["cpu", "tpu"]),
)  # fmt: skip
def test_sorted_tokens_come_back(chosen: list[list[int]], traced_for: str) -> None:
    """Also where one expert has all tokens, and others none."""
    weights = np.linspace(0.5, 2, 12).reshape(1, 6, 2)
    x = np.arange(1, 19, dtype=np.float32).reshape(1, 6, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouped, "platform", lambda: traced_for)
        patch.setattr(grouped, "device_kind", lambda: "TPU v5p")
        y, _ = _dropless(traced_for)(jnp.asarray(x), jnp.asarray([chosen]), jnp.asarray(weights))
    factors = (weights * (np.asarray([chosen]) + 1)).sum(-1, keepdims=True)
    np.testing.assert_allclose(y, factors * x, rtol=1e-5)


@functools.cache
def _dropless(traced_for: str) -> Any:
    return jax.jit(
        lambda x, e, w: Dropless()(Experts(doubled, {}, {}, EXPERTS), x, Choice(e, w.astype(jnp.float32))),
        compiler_options=QUICK,
    )


def test_capacity_that_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="Capacity.factor is 0.0; it is above 0"):
        Capacity(0.0)
    with pytest.raises(ValueError, match="Capacity.group is -1"):
        Capacity(1.0, -1)
    assert Capacity(1.25).places(4096, 1, 64) == 80  # Switch, eq. 3
