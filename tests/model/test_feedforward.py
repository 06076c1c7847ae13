"""Feed-forward layers against their formulas in NumPy float64."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf

from model.feedforward import ACTIVATIONS, MLP, GatedMLP
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.precision import Precision

SIZES = Sizes(
    embed=6, layers=8, dropout=0.0, parametrization=Standard(0.02), precision=Precision(compute="float32")
)
FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "relu_squared": lambda x: np.maximum(x, 0) ** 2,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
    "tanh": np.tanh,
}


def randomised(module: nnx.Module) -> dict[str, np.ndarray]:
    """Weights of order one, so that activations are used where they bend."""
    rng = np.random.default_rng(5)
    found = {}
    for path, variable in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        value = rng.normal(size=variable.shape).astype(np.float32)
        getattr(module, path[0])[...] = jnp.asarray(value)
        found[path[0]] = value.astype(np.float64)
    return found


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_layers_are_their_formulas(name: str) -> None:
    act = FORMULAS[name]
    x = np.random.default_rng(1).normal(size=(2, 3, 6)).astype(np.float32)
    module = MLP(10, name).build(SIZES, nnx.Rngs(0))
    w = randomised(module)
    expected = act(x @ w["up"]) @ w["down"]
    np.testing.assert_allclose(module(jnp.asarray(x)), expected, atol=2e-5)

    module = GatedMLP(10, name).build(SIZES, nnx.Rngs(0))
    w = randomised(module)
    expected = (act(x @ w["gate"]) * (x @ w["up"])) @ w["down"]
    np.testing.assert_allclose(module(jnp.asarray(x)), expected, atol=5e-5)


def test_every_activation_has_a_formula_here() -> None:
    assert FORMULAS.keys() == ACTIVATIONS.keys()
    assert MLP(8).activation == "gelu" and GatedMLP(8).activation == "silu"


@pytest.mark.parametrize(("spec", "matrices"), [(MLP(10), 2), (GatedMLP(10), 3)])
def test_weights_are_counted_and_named(spec: MLP | GatedMLP, matrices: int) -> None:
    module = spec.build(SIZES, nnx.Rngs(0))
    state = nnx.state(module, nnx.Param)
    total = sum(variable.size for _, variable in nnx.to_flat_state(state))
    assert total == matrices * 6 * 10 == spec.matmul_weights(6)
    axes = logical_axes(state)
    assert axes.pop(("down",)) == ("mlp", "embed")
    assert set(axes.values()) == {("embed", "mlp")} and len(axes) == matrices - 1


def test_residual_projections_start_smaller() -> None:
    sizes = Sizes(embed=100, layers=8, dropout=0.0, parametrization=Standard(0.02), precision=Precision())
    module = GatedMLP(400).build(sizes, nnx.Rngs(0))
    # 40,000 draws: the deviation is known to 1/283.
    assert float(module.up[...].std()) == pytest.approx(0.02, rel=0.02)
    assert float(module.gate[...].std()) == pytest.approx(0.02, rel=0.02)
    assert float(module.down[...].std()) == pytest.approx(0.02 / 4, rel=0.02)
    assert not np.array_equal(module.up[...], module.gate[...])


@pytest.mark.parametrize("make", [MLP, GatedMLP])
def test_unknown_activations_are_refused(make: type) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__}.activation is 'swish'; .*silu, gelu"):
        make(8, "swish")
