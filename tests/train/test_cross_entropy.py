"""Cross-entropy in stretches against the whole, with gradients; label smoothing and z-loss against NumPy."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import Attention
from model.config import Logits, TransformerConfig
from model.feedforward import MLP
from model.precision import Precision
from sharding.axes import active
from sharding.placements import Combined, DataParallel, FullySharded, TensorParallel
from train.group_losses import GroupLosses
from train.objective import CrossEntropy
from train.state import Blueprint

PLAIN = TransformerConfig(
    layers=1, embed=16, vocab=24, attention=Attention(2), feedforward=MLP(8), precision=Precision(compute="float32")
)
BENT = dataclasses.replace(PLAIN, tie_embeddings=False, logits=Logits(scale=0.7, softcap=3.0, bias=True))
RNG = np.random.default_rng(0)
ROWS, SEQ = 8, 10
TOKENS = RNG.integers(0, 24, (ROWS, SEQ + 1)).astype(np.int32)
BATCH = {
    "inputs": jnp.asarray(TOKENS[:, :-1]),
    "targets": jnp.asarray(TOKENS[:, 1:]),
    "weights": jnp.asarray((RNG.random((ROWS, SEQ)) < 0.7) * RNG.random((ROWS, SEQ)), jnp.float32),
}


def measured(config: TransformerConfig, objective: CrossEntropy, placement: Any = None) -> Any:
    """Loss, nll, and the gradients by weights of the model and by those of the tokens."""
    blueprint = Blueprint(config)
    layout = DataParallel().on(jax.devices()[:1]) if placement is None else placement.on()
    weights = jax.tree.map(lambda leaf: 5 * leaf, jax.jit(blueprint.weights)(jax.random.key(1)))

    def loss(weights: Any, tokens: Any) -> Any:
        total = objective.sums(blueprint.model(weights), {**BATCH, "weights": tokens}, None)
        return 3 * total.loss, total.nll

    with active(layout):
        weights = jax.device_put(weights, blueprint.shardings(layout))
        run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True), out_shardings=layout.replicated)
        return jax.tree.map(np.asarray, run(weights, jax.device_put(BATCH["weights"], layout.batch)))


def close(found: Any, wanted: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, wanted)


@pytest.mark.parametrize("config", [PLAIN, BENT], ids=["plain", "bent"])
@pytest.mark.parametrize("chunk", [3, 5])
def test_stretches_give_the_loss_and_the_gradients_of_the_whole(config: TransformerConfig, chunk: int) -> None:
    rule = CrossEntropy(z_loss=0.1, label_smoothing=0.2)
    close(measured(config, dataclasses.replace(rule, chunk=chunk)), measured(config, rule))


@pytest.mark.parametrize("placement", [FullySharded(), TensorParallel(tensor=2), Combined(context=2)],
    ids=["fsdp", "tensor", "context"],
)
def test_sharded_stretches_are_the_whole_on_one_device(placement: Any) -> None:
    close(measured(BENT, CrossEntropy(z_loss=0.1, chunk=5), placement), measured(BENT, CrossEntropy(z_loss=0.1)))


def test_smoothing_and_z_loss_are_their_formulas() -> None:
    logits = RNG.normal(size=(2, 3, 7))
    targets, weights = RNG.integers(0, 7, (2, 3)), RNG.random((2, 3))
    log_z = np.log(np.exp(logits).sum(-1))
    logp = logits - log_z[..., None]
    wanted = np.zeros_like(logits) + 0.3 / 7
    np.put_along_axis(wanted, targets[..., None], 0.7 + 0.3 / 7, -1)
    loss = (weights * (-(wanted * logp).sum(-1) + 0.01 * log_z**2)).sum()
    x, weights = jnp.asarray(logits, jnp.float32), jnp.asarray(weights, jnp.float32)
    rule = CrossEntropy(z_loss=0.01, label_smoothing=0.3)
    found = rule.weighed_loss(lambda x: x, x, jnp.asarray(targets, jnp.int32), weights)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(found.nll, -np.take_along_axis(logp, targets[..., None], -1)[..., 0], rtol=1e-5)


@pytest.mark.parametrize("by_group", [False, True])
def test_memory_is_that_of_a_stretch(by_group: bool) -> None:
    """Logits of 512 x 8,192 take 16 MiB; in eight stretches 2 MiB. So it is where losses are told by group."""
    config = dataclasses.replace(PLAIN, vocab=8192)
    blueprint = Blueprint(config)
    kinds = {"inputs": jnp.int32, "targets": jnp.int32, "weights": jnp.float32, "groups": jnp.int32}
    batch = {key: jax.ShapeDtypeStruct((1, 512), kind) for key, kind in kinds.items()}

    def temporary(chunk: int) -> int:
        rule = CrossEntropy(chunk=chunk)
        objective = GroupLosses(("a", "b"), rule) if by_group else rule

        def loss(weights: Any, batch: Any) -> Any:
            return objective.sums(blueprint.model(weights), batch, None).loss

        compiled = jax.jit(jax.grad(loss)).lower(blueprint.shapes, batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(64) < temporary(0) / 2.5
