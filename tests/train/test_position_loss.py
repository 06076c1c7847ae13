"""Loss by position, against a loss taken token by token in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.objective import CausalLM
from train.position_loss import position_figures, sums_by_position
from train.state import Blueprint

CONFIG = TransformerConfig(1, 8, 11, Attention(2), MLP(8), precision=Precision(compute="float32"))


@pytest.mark.parametrize("packed", [False, True])
def test_stretches_hold_their_tokens(packed: bool) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 11, (3, 10))
    weights = np.asarray(rng.random((3, 9)) < 0.7, np.float32) * 2
    batch = {"inputs": tokens[:, :-1].astype(np.int32), "targets": tokens[:, 1:].astype(np.int32), "weights": weights}
    position = np.broadcast_to(np.arange(9), (3, 9))
    if packed:
        position = np.concatenate([np.arange(5), np.arange(4)])[None].repeat(3, 0)
        batch["positions"] = position.astype(np.int32)
    blueprint = Blueprint(CONFIG)
    made = blueprint.model(blueprint.weights(jax.random.key(0)))
    batch = {key: jnp.asarray(rows) for key, rows in batch.items()}
    sums, at = jax.jit(lambda b: sums_by_position(CausalLM(), made, b))(batch)

    logits = np.asarray(made(batch["inputs"], batch.get("positions")), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll = -np.take_along_axis(log_p, tokens[:, 1:, None], -1)[..., 0] * weights
    for n in range(4):
        inside = (position + 1 >= 2**n) & (position + 1 < 2 ** (n + 1))
        assert at.nll[n] == pytest.approx(nll[inside].sum(), rel=1e-5)
        assert at.weight[n] == pytest.approx(weights[inside].sum())
    assert float(at.nll.sum()) == pytest.approx(float(sums.nll), rel=1e-6)
    assert len(at.nll) == 4
    plain = jax.jit(lambda b: CausalLM().sums(made, b, None))(batch)
    assert float(plain.nll) == float(sums.nll) and float(plain.weight) == float(sums.weight)


def test_a_stretch_without_tokens_is_not_told() -> None:
    found = position_figures(np.array([2.0, 0.0, 6.0]), np.array([1.0, 0.0, 4.0]))
    assert found == {"eval/position_00001/loss": 2.0, "eval/position_00004/loss": 1.5}


def test_no_second_pass_is_computed() -> None:
    blueprint = Blueprint(CONFIG)
    weights = blueprint.weights(jax.random.key(0))
    batch = {
        "inputs": jnp.zeros((2, 8), jnp.int32), "targets": jnp.zeros((2, 8), jnp.int32), "weights": jnp.ones((2, 8)),
    }  # fmt: skip

    def flops(measure) -> float:
        compiled = jax.jit(lambda w, b: measure(CausalLM(), blueprint.model(w), b)).lower(weights, batch).compile()
        return compiled.cost_analysis()["flops"]

    plain = flops(lambda objective, model, b: objective.sums(model, b, None))
    assert flops(sums_by_position) < 1.1 * plain
