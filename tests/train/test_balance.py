"""Biases and metrics of routers: against NumPy, exact under accumulation; and what balancing is for."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from model.attention import Attention
from model.balance import Balance, BalanceBias, BalanceLoss, Unbalanced
from model.cross_attention import CrossAttention
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import GatedMLP, LeadingFeedForward
from model.moe import MoE
from model.parametrization import Standard
from model.precision import Precision
from model.router import Sigmoid
from model.transformer import TransformerConfig
from train.balance import balanced, router_metrics
from train.objective import CausalLM
from train.optimizers import AdamW
from train.safety import Safety, Unguarded
from train.state import Blueprint, TrainState
from train.step import make_step

QUICK = {"xla_backend_optimization_level": 0}
VOCAB, SEQ, EXPERTS, RATE = 16, 8, 4, 0.02


def decoder(balance: Balance, z_loss: float = 0.0) -> TransformerConfig:
    routed = MoE(EXPERTS, 1, GatedMLP(8), router=Sigmoid(normalise=False), balance=balance, z_loss=z_loss)
    return TransformerConfig(
        layers=2, embed=16, vocab=VOCAB, attention=Attention(2), precision=Precision(compute="float32"),
        feedforward=LeadingFeedForward(1, GatedMLP(8), routed), parametrization=Standard(0.2),
    )  # fmt: skip


def batch(rows: int = 32, ragged: bool = False) -> dict[str, np.ndarray]:
    """Each token is followed by three times itself, plus one."""
    rng = np.random.default_rng(0)
    start = rng.zipf(1.5, (rows, 1)) % VOCAB
    tokens = [start]
    for _ in range(SEQ):
        tokens.append((3 * tokens[-1] + 1) % VOCAB)
    tokens = np.concatenate(tokens, 1).astype(np.int32)
    weights = np.ones((rows, SEQ), np.float32)
    if ragged:
        weights *= rng.random((rows, SEQ)) < np.linspace(0.1, 1, rows)[:, None]
    return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}


@functools.cache
def stepper(
    balance: Balance, accumulate: int = 1, z_loss: float = 0.0, safety: Safety = Safety(Unguarded())
) -> tuple[Any, TrainState]:
    blueprint = Blueprint(decoder(balance, z_loss))
    rate = optax.constant_schedule(0.02)
    optimizer = AdamW(decay=0.5).transform(rate, blueprint.table)
    step = make_step(blueprint, CausalLM(), optimizer, rate, seed=0, accumulate=accumulate, safety=safety)
    weights = jax.jit(blueprint.weights, compiler_options=QUICK)(jax.random.key(1))
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(zero, zero, weights, optimizer.init(weights), {}, safety.start())
    return jax.jit(step, compiler_options=QUICK), state


def bias_of(state: TrainState) -> np.ndarray:
    return np.asarray(state.weights["blocks"]["1"]["feedforward"]["balance_bias"])


def test_biases_move_by_the_sign_of_what_is_missing() -> None:
    config = decoder(BalanceBias(0.25))
    load = np.array([[0.4, 0.3, 0.05, 0.25], [0.25, 0.25, 0.25, 0.25]], np.float32)
    bias = jnp.arange(8.0).reshape(2, 4)
    other = {"up": np.ones(3)}
    weights = {
        "embedding": other,
        "blocks": {"0": {"feedforward": other}, "1": {"feedforward": other | {"balance_bias": bias}}},
    }
    found = balanced(weights, {"1/load": jnp.asarray(load), "1/z": jnp.ones(2)}, config)
    moved = found["blocks"]["1"]["feedforward"]
    np.testing.assert_array_equal(moved["balance_bias"][0], [-0.25, 0.75, 2.25, 3])
    np.testing.assert_array_equal(moved["balance_bias"][1], bias[1])
    assert moved["up"] is other["up"] and found["embedding"] is other
    assert found["blocks"]["0"] is weights["blocks"]["0"]
    same = balanced(weights, {"1/load": jnp.asarray(load)}, decoder(BalanceLoss()))
    assert same["blocks"]["1"]["feedforward"]["balance_bias"] is bias


def test_an_encoder_and_a_decoder_move_by_their_own_loads() -> None:
    stack = decoder(BalanceBias(0.25))
    config = EncoderDecoderConfig(stack, stack, CrossAttention(2))
    zero = {"0": {}, "1": {"feedforward": {"balance_bias": jnp.zeros((1, 2))}}}
    weights = {"encoder": {"blocks": zero}, "decoder": {"blocks": zero}}
    figures = {"encoder/1/load": jnp.array([[0.7, 0.3]]), "1/load": jnp.array([[0.1, 0.9]])}
    found = balanced(weights, figures, config)
    for name, wanted in (("encoder", [-0.25, 0.25]), ("decoder", [0.25, -0.25])):
        np.testing.assert_array_equal(found[name]["blocks"]["1"]["feedforward"]["balance_bias"], [wanted])


def test_metrics_are_means_over_the_layers_that_route() -> None:
    figures = {
        "1/load": jnp.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]]),
        "3/load": jnp.array([[0.5, 0.5]]),
        "1/z": jnp.array([1.0, 2.0]),
        "3/z": jnp.array([6.0]),
    }
    found = {name: float(value) for name, value in router_metrics(figures).items()}
    assert found == pytest.approx(
        {"train/router_max_load": (2.8 + 1 + 1) / 3, "train/router_z": 3.0}, rel=1e-6
    )


@pytest.mark.slow
def test_micro_batches_move_biases_as_the_whole_batch() -> None:
    """Micro-batches of very different weights; loads are of all positions, so that they add up."""
    data = batch(ragged=True)
    whole, state = stepper(BalanceBias(RATE))
    parts, _ = stepper(BalanceBias(RATE), accumulate=4)
    one, metrics = whole(state, data)
    other, others = parts(state, data)
    np.testing.assert_array_equal(bias_of(one), bias_of(other))
    assert set(np.round(np.unique(np.abs(bias_of(one))), 6)) <= {0, np.float32(RATE)}
    assert np.abs(bias_of(one)).max() > 0
    assert metrics.keys() == others.keys()
    for name in ("max_load", "entropy", "z", "dropped"):
        key = f"train/router_{name}"
        assert metrics[key].shape == ()
        assert float(metrics[key]) == pytest.approx(float(others[key]), rel=1e-5), key
    assert float(metrics["train/router_dropped"]) == 0
    assert 1 <= float(metrics["train/router_max_load"]) <= EXPERTS


@pytest.mark.slow
def test_what_routers_add_is_minimised() -> None:
    plain, state = stepper(Unbalanced())
    added, _ = stepper(BalanceLoss(0.3), z_loss=0.1)
    data = batch(ragged=True)
    _, without = plain(state, data)
    _, metrics = added(state, data)
    assert float(without["train/objective"]) == float(without["train/loss"])
    assert float(metrics["train/loss"]) == pytest.approx(float(without["train/loss"]), rel=1e-6)
    extra = float(metrics["train/objective"]) - float(metrics["train/loss"])
    # The balancing loss lies near its weight.
    assert extra == pytest.approx(0.3 + 0.1 * float(metrics["train/router_z"]), abs=0.1)
    assert float(metrics["train/grad_norm"]) != pytest.approx(float(without["train/grad_norm"]))


def test_a_model_learns_and_biases_even_out_its_load() -> None:
    """The last tenth of a short run: loss far below that of guessing, load much nearer to 1 than without."""
    loads, losses = {}, {}
    data = batch()
    for balance in (Unbalanced(), BalanceBias(RATE)):
        step, state = stepper(balance)
        history = []
        for _ in range(60):
            state, metrics = step(state, data)
            history.append([float(metrics["train/loss"]), float(metrics["train/router_max_load"])])
        losses[balance], loads[balance] = np.mean(history[-6:], axis=0)
    assert all(loss < 0.5 * np.log(VOCAB) for loss in losses.values())
    assert loads[BalanceBias(RATE)] - 1 < 0.5 * (loads[Unbalanced()] - 1)


def test_biases_stay_in_a_step_that_is_skipped() -> None:
    step, state = stepper(BalanceBias(RATE), safety=Safety())
    data = batch()
    after, metrics = step(state, data | {"weights": np.full_like(data["weights"], np.nan)})
    assert metrics["train/skipped"] == 1
    jax.tree.map(np.testing.assert_array_equal, after.weights, state.weights)
    assert not np.array_equal(bias_of(step(after, data)[0]), bias_of(state))
