"""Experts divided over devices compute what they all compute on one, whoever chooses whom."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.dispatch import Everyone
from model.dropless import Dropless
from model.feedforward import GatedMLP
from model.moe import MoE
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.precision import Precision
from sharding.axes import active
from sharding.placement import Placement
from sharding.placements import Combined, DataParallel, FullySharded, TensorParallel

QUICK = {"xla_backend_optimization_level": 0}
SIZES = Sizes(embed=8, layers=2, dropout=0.0, parametrization=Standard(0.5), precision=Precision(compute="float32"))
X = np.random.default_rng(0).normal(size=(8, 4, 8)).astype(np.float32)
PLACEMENTS: dict[str, Placement] = {
    "data": DataParallel(),
    "fsdp": FullySharded(),
    "tensor": TensorParallel(tensor=2),
    "expert 2": Combined(expert=2, data=2, fsdp=2),
    "expert 4": Combined(expert=4, fsdp=2),
    "expert 8": Combined(expert=8, fsdp=1),
    "expert and tensor": Combined(expert=2, tensor=2),
    "expert and context": Combined(expert=2, context=2),
}
# Where tokens go: by what is added to the router's weights.
LOADS = {"as they like": 0.0, "all to one": 100.0}


@functools.cache
def result(spec: MoE, name: str | None, load: str, rows: int = 8) -> Any:
    """Output, and gradients of weights and input; None: on one device."""
    layout = DataParallel().on(jax.devices()[:1]) if name is None else PLACEMENTS[name].on()
    graph, state = nnx.split(nnx.eval_shape(lambda: spec.build(SIZES, nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    axes = {path: names for path, names in logical_axes(state).items()}
    weights = {path: (0.5 * rng.normal(size=v.shape)).astype(np.float32) for path, v in nnx.to_flat_state(state)}
    x = np.abs(X[:rows])
    weights["router", "weight"][:, 0] += LOADS[load]
    placed = {path: jax.device_put(w, layout.weight(axes[path], w.shape)) for path, w in weights.items()}
    x = jax.device_put(x, layout.batch if rows == 8 else layout.replicated)

    @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def value(weights: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        nested = nnx.traversals.unflatten_mapping(weights)
        y, routing = nnx.merge(graph, nested).routed(x)
        return jnp.sin(y).sum(), (y, routing.figures["dropped"])

    with active(layout):
        (_, (y, dropped)), gradients = jax.jit(value, compiler_options=QUICK)(placed, x)
    return jax.tree.map(np.asarray, (y, dropped, gradients))


def same(spec: MoE, name: str, load: str, rows: int = 8) -> None:
    y, dropped, gradients = result(spec, name, load, rows)
    wanted, _, wanted_gradients = result(dataclasses.replace(spec, dispatch=Everyone()), None, load, rows)
    assert dropped == 0
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    for (path, found), other in zip(
        jax.tree.leaves_with_path(gradients), jax.tree.leaves(wanted_gradients), strict=True
    ):
        np.testing.assert_allclose(found, other, rtol=0, atol=1e-5 * np.abs(other).max(), err_msg=str(path))


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", PLACEMENTS)
def test_divided_is_undivided(name: str, load: str) -> None:
    same(MoE(8, 2, GatedMLP(6, bias=True), dispatch=Dropless(0.6)), name, load)
