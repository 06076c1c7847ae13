"""Every optimizer on a tiny decoder: it learns, is built from the command line, refuses what cannot be, and its state
comes back from a checkpoint; on eight devices as on one."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from etils import epath

from data.spec import SpecError, build, describe, override
from model.attention import Attention
from model.feedforward import MLP
from model.transformer import TransformerConfig
from sharding.axes import active
from sharding.placement import Layout, Placement
from sharding.placements import DataParallel, FullySharded, TensorParallel
from train.checkpoint import Checkpoints
from train.load import load_experiment
from train.optimizers import (
    SOAP, Adafactor, AdamW, Averaged, Grouped, Lion, Muon, Optimizer, Rounded, Rule, ScheduleFreeAdamW, Shampoo,
)
from train.state import Blueprint, TrainState, abstract_state, fresh_state

QUICK = {"xla_backend_optimization_level": 0}
CONFIG = TransformerConfig(layers=2, embed=16, vocab=32, attention=Attention(4, kv_heads=2), feedforward=MLP(32))
# With learning rates of a fit size for each.
ALL: dict[str, tuple[Optimizer, float]] = {
    "AdamW()": (AdamW(), 1e-2),
    "Adafactor()": (Adafactor(), 1e-1),
    "Lion()": (Lion(), 3e-3),
    "SOAP(block=8,every=3)": (SOAP(block=8, every=3), 1e-2),
    "Shampoo(block=8,every=2)": (Shampoo(block=8, every=2), 1e-1),
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


def one_device() -> Layout:
    return DataParallel().on(jax.devices()[:1])


@functools.cache
def trained(name: str) -> tuple[TrainState, TrainState, list[float]]:
    """The state before and after 24 steps on one device, and the losses."""
    spec, rate = ALL[name]
    optimizer = spec.transform(optax.constant_schedule(rate), blueprint().table)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    start = state = fresh_state(blueprint(), optimizer, one_device(), seed=0)
    losses = []
    for _ in range(24):
        loss, gradients = gradient()(state.weights)
        updates, kept = update(gradients, state.optimizer, state.weights)
        weights = optax.apply_updates(state.weights, updates)
        state = state._replace(step=state.step + 1, weights=weights, optimizer=kept)
        losses.append(float(loss))
    evaluated = spec.evaluated(state.optimizer, state.weights)
    return start, state, [*losses, float(gradient()(evaluated)[0])]


@each
def test_it_learns(name: str) -> None:
    losses = trained(name)[2]
    assert losses[0] == pytest.approx(np.log(32), abs=0.3)
    assert losses[-1] < 0.7 * losses[0], losses


@each
def test_its_state_comes_back(name: str, tmp_path: Any) -> None:
    spec, _ = ALL[name]
    _, state, _ = trained(name)
    optimizer = spec.transform(optax.constant_schedule(0.1), blueprint().table)
    saved = Checkpoints(epath.Path(tmp_path), 1)
    saved.save(state)
    saved.close()
    found = Checkpoints(epath.Path(tmp_path), 1).restore(abstract_state(blueprint(), optimizer, FullySharded().on()))
    assert found is not None
    jax.tree.map(np.testing.assert_array_equal, found, state)
    assert jax.tree.structure(found) == jax.tree.structure(state)
