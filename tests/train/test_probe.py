"""What a probe sees in a step, against gradients taken apart from it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.objective import CausalLM
from train.probe import Probe, Seen
from train.state import Blueprint, TrainState
from train.step import make_step

CONFIG = TransformerConfig(
    layers=1, embed=8, vocab=11, attention=Attention(2), feedforward=MLP(8), precision=Precision(compute="float32")
)


@dataclasses.dataclass(frozen=True)
class Norms(Probe):
    """All that is asked for in the test."""

    def measured(self, seen: Seen) -> dict[str, Float[Array, ""]]:
        return {
            "gradient": optax.global_norm(seen.gradients),
            "update": optax.global_norm(seen.updates),
            "weight": optax.global_norm(seen.weights),
            "micro": seen.micro_square,
            "embedding": jnp.asarray(float(seen.table["embedding"].matrix)),
        }


def test_a_probe_sees_the_step() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 11, (4, 7))
    weights = (rng.random((4, 6)) < 0.6).astype(np.float32)
    batch = {
        "inputs": jnp.asarray(tokens[:, :-1], jnp.int32),
        "targets": jnp.asarray(tokens[:, 1:], jnp.int32),
        "weights": jnp.asarray(weights),
    }
    blueprint = Blueprint(CONFIG)
    start = blueprint.weights(jax.random.key(0))
    optimizer = optax.sgd(0.5)
    step = make_step(blueprint, CausalLM(), optimizer, lambda step: 0.5, seed=0, accumulate=2, probes=[Norms()])
    zero = jnp.zeros((), jnp.int32)
    after, metrics = jax.jit(step)(TrainState(zero, zero, start, optimizer.init(start), {}), batch)

    def mean(w: dict, rows: slice) -> Array:
        sums = CausalLM().sums(blueprint.model(w), {k: x[rows] for k, x in batch.items()}, None)
        return sums.loss / sums.weight

    whole = optax.global_norm(jax.grad(mean)(start, slice(None)))
    parts = [optax.global_norm(jax.grad(mean)(start, slice(i, None, 2))) ** 2 for i in range(2)]
    np.testing.assert_allclose(metrics["gradient"], whole, rtol=1e-5)
    np.testing.assert_allclose(metrics["update"], 0.5 * whole, rtol=1e-5)
    np.testing.assert_allclose(metrics["weight"], optax.global_norm(start), rtol=1e-6)
    np.testing.assert_allclose(metrics["micro"], sum(parts) / 2, rtol=1e-5)
    assert metrics["embedding"] == 1 and int(after.position) == int(after.step) == 1
