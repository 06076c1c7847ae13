"""Every optimizer on a tiny decoder: it learns, is built from the command line, refuses what cannot be, and its state
comes back from a checkpoint; on eight devices as on one."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from etils import epath

from data.spec import build, describe, override
from experiments.configs import smoke
from model.attention import Attention
from model.feedforward import MLP
from model.transformer import TransformerConfig
from sharding.axes import active
from sharding.placement import Placement
from sharding.placements import DataParallel, FullySharded, TensorParallel
from train.checkpoint import Checkpoints
from train.optimizers import (
    SOAP,
    Adafactor,
    AdamW,
    Averaged,
    Grouped,
    Lion,
    Muon,
    Optimizer,
    Rounded,
    Rule,
    ScheduleFreeAdamW,
    Shampoo,
)
from train.retention import Keep
from train.state import Blueprint, TrainState, abstract_state, keys

QUICK = {"xla_backend_optimization_level": 0}
CONFIG = TransformerConfig(layers=2, embed=16, vocab=32, attention=Attention(4, kv_heads=2), feedforward=MLP(32))
# With learning rates of a fit size for each.
ALL: dict[str, tuple[Optimizer, float]] = {
    "AdamW()": (AdamW(), 1e-2),
    "Adafactor()": (Adafactor(), 1e-1),
    "Lion()": (Lion(), 3e-3),
    "SOAP(block=8,every=3)": (SOAP(block=8, every=3), 1e-2),
    "Shampoo(block=8,every=2,eps=1e-3)": (Shampoo(block=8, every=2, eps=1e-3), 1e-1),
    "Muon(iterations=2)": (Muon(iterations=2), 1e-2),
    "ScheduleFreeAdamW()": (ScheduleFreeAdamW(), 1e-2),
    "Averaged(AdamW(),decay=0.5)": (Averaged(AdamW(), decay=0.5), 1e-2),
    "Rounded(AdamW())": (Rounded(AdamW()), 1e-2),
    "Grouped(Averaged(Adafactor(),decay=0.5),rules=(Rule('embedding',trained=false),Rule('*/norms/*',decay=0.5)))": (
        Grouped(
            Averaged(Adafactor(), decay=0.5), (Rule("embedding", trained=False), Rule("*/norms/*", decay=0.5))
        ),
        1e-1,
    ),
}
each = pytest.mark.parametrize("name", ALL, ids=[name.split("(")[0] for name in ALL])


@functools.cache
def blueprint() -> Blueprint:
    return Blueprint(CONFIG)


@functools.cache
def gradient() -> Any:
    """Compiled once for all: the loss of the next of the tokens 0, 3, 6, ... modulo 32, and its gradient."""
    tokens = (3 * jnp.arange(17)[None] + jnp.arange(8)[:, None]) % 32

    def loss(weights: Any) -> jax.Array:
        logits = blueprint().model(weights)(tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), tokens[:, 1:]).mean()

    return jax.jit(jax.value_and_grad(loss)).lower(blueprint().shapes).compile(compiler_options=QUICK)


def fresh(optimizer: optax.GradientTransformation) -> TrainState:
    rng = np.random.default_rng(0)

    def drawn(path: Any, leaf: Any) -> jax.Array:
        scale = np.ones if "scale" in keys(path) else lambda shape: 0.1 * rng.normal(size=shape)
        return jnp.asarray(scale(leaf.shape), leaf.dtype)

    weights = jax.tree.map_with_path(drawn, blueprint().shapes)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(zero, zero, weights, optimizer.init(weights), {})


@functools.cache
def trained(name: str) -> tuple[TrainState, list[float]]:
    """The state after 24 steps on one device, the losses, and the loss of what is evaluated."""
    spec, rate = ALL[name]
    optimizer = spec.transform(optax.constant_schedule(rate), blueprint().table)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    state, losses = fresh(optimizer), []
    for _ in range(24):
        loss, gradients = gradient()(state.weights)
        updates, kept = update(gradients, state.optimizer, state.weights)
        weights = optax.apply_updates(state.weights, updates)
        state = state._replace(step=state.step + 1, weights=weights, optimizer=kept)
        losses.append(float(loss))
    evaluated = spec.evaluated(state.optimizer, state.weights)
    return state, [*losses, float(gradient()(evaluated)[0])]


@each
def test_it_learns(name: str) -> None:
    losses = trained(name)[1]
    assert losses[0] == pytest.approx(np.log(32), abs=0.3)
    assert losses[-1] < 0.7 * losses[0], losses


@each
def test_its_state_comes_back(name: str, tmp_path: Any) -> None:
    spec, _ = ALL[name]
    state, _ = trained(name)
    optimizer = spec.transform(optax.constant_schedule(0.1), blueprint().table)
    saved = Checkpoints(epath.Path(tmp_path), Keep(latest=1))
    saved.save(state)
    saved.close()
    abstract = abstract_state(blueprint(), optimizer, FullySharded().on())
    found = Checkpoints(epath.Path(tmp_path), Keep(latest=1)).restore(abstract)
    assert found is not None
    jax.tree.map(np.testing.assert_array_equal, found, state)
    assert jax.tree.structure(found) == jax.tree.structure(state)


@functools.cache
def stepped(name: str, placement: Placement | None) -> list[np.ndarray]:
    """The weights after two steps and what is kept then, on all devices; None: on one."""
    layout = DataParallel().on(jax.devices()[:1]) if placement is None else placement.on()
    optimizer = ALL[name][0].transform(optax.constant_schedule(0.1), blueprint().table)
    abstract = abstract_state(blueprint(), optimizer, layout)
    places = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    rng = np.random.default_rng(2)
    weights, *gradients = (
        jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), blueprint().shapes) for _ in range(3)
    )

    def step(weights: Any, kept: Any, gradients: Any) -> tuple[Any, Any]:
        updates, kept = optimizer.update(gradients, kept, weights)
        return optax.apply_updates(weights, updates), kept

    gradients = [jax.device_put(one, places.weights) for one in gradients]
    state = jax.device_put((weights, optimizer.init(weights)), (places.weights, places.optimizer))
    with active(layout):
        lowered = jax.jit(step, out_shardings=(places.weights, places.optimizer)).lower(*state, gradients[0])
    compiled = lowered.compile(compiler_options=QUICK)
    for one in gradients:
        state = compiled(*state, one)
    return [np.asarray(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(state)]


SHARDED = [
    ("Adafactor()", TensorParallel(tensor=2)),
    ("SOAP(block=8,every=3)", FullySharded()),
    ("Shampoo(block=8,every=2,eps=1e-3)", FullySharded()),
    ("Shampoo(block=8,every=2,eps=1e-3)", DataParallel()),
    ("Rounded(AdamW())", FullySharded()),
]


@pytest.mark.parametrize(
    ("name", "placement"), SHARDED, ids=[f"{name.split('(')[0]}-{type(at).__name__}" for name, at in SHARDED]
)
def test_sharded_is_unsharded(name: str, placement: Placement) -> None:
    for found, expected in zip(stepped(name, placement), stepped(name, None), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)


@each
def test_the_command_line_gives_it(name: str) -> None:
    parent = smoke.experiment()
    found = override(parent, [f"optimizer={name}"]).optimizer
    assert found == ALL[name][0]
    assert build(json.loads(json.dumps(describe(found))), Optimizer) == found


def test_what_the_command_line_cannot_give() -> None:
    parent = smoke.experiment()
    for change, sentence in [
        ("optimizer=Lion(b3=1)", "Lion has no 'b3'; it has b1, b2, decay, clip"),
        ("optimizer=Lion(b1=2.0)", "Lion.b1 is 2.0; it is at least 0 and below 1"),
        ("optimizer=Averaged(WarmupCosine(1.0,2))", "there is no type 'WarmupCosine' here; there is .*Adafactor"),
        ("optimizer=Adafactor(floor=-1.0)", "Adafactor.floor is -1.0; it is above 0"),
        ("optimizer=ScheduleFreeAdamW(b1=0.0)", "ScheduleFreeAdamW.b1 is 0.0; it is above 0"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            override(parent, [change])
