"""Tokens and experts divided over devices: what they all compute on one, whoever chooses whom, and what is sent."""

import dataclasses
import functools
import math
import re
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from model.balance import BalanceBias
from model.dispatch import Capacity, Everyone
from model.dropless import Dropless
from model.feedforward import MLP, GatedMLP
from model.moe import MoE
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.precision import Precision
from model.router import Sigmoid, Softmax
from sharding.axes import active
from sharding.placement import Placement
from sharding.placements import Combined, DataParallel, FullySharded, TensorParallel

QUICK = {"xla_backend_optimization_level": 0}
SIZES = Sizes(embed=8, layers=2, dropout=0.0, parametrization=Standard(0.5), precision=Precision(compute="float32"))
ROWS, SEQ = 8, 4
X = np.abs(np.random.default_rng(0).normal(size=(ROWS, SEQ, 8))).astype(np.float32)
PLACEMENTS: dict[str, Placement] = {
    "data": DataParallel(),
    "fsdp": FullySharded(),
    "tensor": TensorParallel(tensor=2),
    "expert 2": Combined(expert=2, data=2, fsdp=2),
    "expert 4": Combined(expert=4, fsdp=2),
    "expert 8": Combined(expert=8, fsdp=1),
    "expert, tensor": Combined(expert=2, tensor=2),
    "expert, context": Combined(expert=2, context=2),
}
# What is added to the router's weights of each of eight experts: inputs are positive, so it decides who is chosen.
LOADS = {"any": np.zeros(8), "one": np.array([50.0] + [0] * 7), "half": np.array([-50.0, 0] * 4)}
# A buffer so small that there are several rounds.
TIGHT = MoE(8, 2, GatedMLP(6, bias=True), dispatch=Dropless(0.6))
# As DeepSeek-V3 has them, and fewer of the same.
FINE = MoE(
    256, 8, GatedMLP(2), Sigmoid(8, 4, scale=2.5), Dropless(), shared=GatedMLP(4), balance=BalanceBias(weight=0.1)
)
FEWER = dataclasses.replace(FINE, experts=32, top_k=4)
SOFTMAX = Softmax(normalise=False)


def program(spec: MoE, name: str | None, rows: int) -> tuple[Any, Any]:
    """Value, with the output beside it, and gradients by weights and input; and the layout. None: on one device."""
    layout = DataParallel().on(jax.devices()[:1]) if name is None else PLACEMENTS[name].on()
    graph, state = nnx.split(nnx.eval_shape(lambda: spec.build(SIZES, nnx.Rngs(0))))
    shapes = {path: (names, variable.shape) for (path, variable), names in
              zip(nnx.to_flat_state(state), logical_axes(state).values(), strict=True)}  # fmt: skip

    @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def value(weights: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        y, routing = nnx.merge(graph, nnx.traversals.unflatten_mapping(weights)).routed(x)
        return np.sin(1) * (y * y).sum() + y.sum() + routing.loss, (y, routing.figures["dropped"])

    placed = {p: jax.ShapeDtypeStruct(s, np.float32, sharding=layout.weight(n, s)) for p, (n, s) in shapes.items()}
    batch = layout.batch if rows == ROWS else layout.replicated
    shape = jax.ShapeDtypeStruct((rows, SEQ, 8), np.float32, sharding=batch)
    with active(layout):
        lowered = jax.jit(value, out_shardings=((None, None), (jax.tree.map(lambda s: s.sharding, placed), batch)))
        return lowered.lower(placed, shape).compile(QUICK), (placed, shape)


compiled = functools.cache(program)


@functools.cache
def result(spec: MoE, name: str | None, load: str, rows: int = ROWS) -> Any:
    """Output, share of what is dropped, and gradients of weights and input."""
    run, (placed, shape) = compiled(spec, name, rows)
    rng = np.random.default_rng(1)
    weights = {path: (0.3 * rng.normal(size=leaf.shape)).astype(np.float32) for path, leaf in placed.items()}
    if spec.experts == 8:
        weights["router", "weight"] += LOADS[load].astype(np.float32)
    weights = {path: jax.device_put(weight, placed[path].sharding) for path, weight in weights.items()}
    (_, (y, dropped)), gradients = run(weights, jax.device_put(X[:rows], shape.sharding))
    return jax.tree.map(np.asarray, (y, dropped, gradients))


def same(spec: MoE, name: str, load: str, rows: int = ROWS, reference: MoE | None = None) -> None:
    """As on one device, where all experts compute all tokens."""
    y, dropped, gradients = result(spec, name, load, rows)
    reference = reference or dataclasses.replace(spec, dispatch=Everyone())
    wanted, wanted_dropped, wanted_gradients = result(reference, None, load, rows)
    assert dropped == pytest.approx(wanted_dropped, abs=1e-6)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    for (path, found), other in zip(
        jax.tree.leaves_with_path(gradients), jax.tree.leaves(wanted_gradients), strict=True
    ):
        np.testing.assert_allclose(found, other, rtol=0, atol=1e-5 * np.abs(other).max(), err_msg=str(path))


DEFAULT = ("data", "expert 4", "expert, tensor")


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in DEFAULT else [pytest.mark.slow]) for name in PLACEMENTS]
)
def test_divided_is_undivided(name: str, load: str) -> None:
    same(TIGHT, name, load)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        pytest.param(FEWER, "expert 4", id="fine-grained"),
        pytest.param(MoE(6, 2, MLP(6)), "expert 4", id="odd experts"),
        pytest.param(MoE(8, 2, MLP(5)), "expert, tensor", id="odd hidden units", marks=pytest.mark.slow),
        pytest.param(FINE, "expert 8", id="256 experts", marks=pytest.mark.slow),
        pytest.param(FINE, "expert, tensor", id="256 experts, tensor", marks=pytest.mark.slow),
        pytest.param(MoE(8, 1, MLP(6), SOFTMAX), "expert 2", id="top 1", marks=pytest.mark.slow),
        pytest.param(MoE(8, 3, MLP(6)), "expert 4", id="top 3", marks=pytest.mark.slow),
        pytest.param(MoE(8, 4, MLP(6, bias=True)), "expert 8", id="top 4", marks=pytest.mark.slow),
        pytest.param(MoE(8, 2, MLP(6), dispatch=Everyone()), "expert 4", id="everyone", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_all_kinds_of_experts_are_divided(spec: MoE, name: str) -> None:
    same(spec, name, "any")


@pytest.mark.parametrize("load", ["any", "one"])
@pytest.mark.parametrize("name", ["expert 4", pytest.param("expert, context", marks=pytest.mark.slow)])
def test_capacity_drops_the_same_wherever_experts_are(name: str, load: str) -> None:
    spec = MoE(8, 2, GatedMLP(6, bias=True), dispatch=Capacity(1.0, group=3))
    same(spec, name, load, reference=spec)


@pytest.mark.slow
def test_rows_that_devices_cannot_share_are_computed_by_all() -> None:
    """Three rows for eight devices: each device computes what its experts give, and the sum is taken."""
    same(TIGHT, "expert 4", "any", rows=3)


def gathered(text: str) -> list[tuple[int, ...]]:
    """Shapes of what a program gathers."""
    found = re.findall(r"= \(?\w+\[([\d,]*)\][^=]* all-gather(?:-start)?\(", text)
    return [tuple(int(size) for size in shape.split(",") if size) for shape in found]


@pytest.mark.parametrize(
    "spec", [TIGHT, pytest.param(MoE(8, 2, GatedMLP(6), dispatch=Capacity()), marks=pytest.mark.slow)]
)
def test_tokens_go_to_experts_and_not_experts_to_tokens(spec: MoE) -> None:
    text = compiled(spec, "expert 4", ROWS)[0].as_text()
    assert " all-to-all(" in text
    # Two experts a device; of those it gathers what `fsdp` divides.
    sizes = [math.prod(shape) for shape in gathered(text)]
    assert 2 * 8 * 6 in sizes and max(sizes) < 8 * 8 * 6


def test_devices_with_all_experts_send_no_tokens() -> None:
    text = compiled(TIGHT, "data", ROWS)[0].as_text()
    assert not gathered(text) and "all-to-all" not in text and " sort(" in text


def test_a_buffer_that_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="Dropless.buffer is 0.0; it is above 0"):
        Dropless(0.0)
