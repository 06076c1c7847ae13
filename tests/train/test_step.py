"""The training step on a model small enough to be derived by hand, in NumPy float64."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.objective import Objective, Sums
from train.optimizers import AdamW
from train.state import Blueprint, TrainState
from train.step import make_step
from train.weights import Weight

ROWS, SEQ, FEATURES = 8, 3, 4
TABLE = {"w": Weight(("w",), ("embed", "mlp"), (FEATURES,)), "b": Weight(("b",), ("mlp",), (1,))}


class Line(Blueprint):
    """The model is its weights: y = x w + b."""

    def __init__(self, dropout: float = 0.0) -> None:
        self.config = SimpleNamespace(noisy=dropout > 0)

    def model(self, weights: Any) -> Any:
        return weights


class Squares(Objective):
    """Half of the squared error, with a scaled copy for the metrics; its noise is the dropout key's."""

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        error = batch["inputs"] @ model["w"] + model["b"][0] - batch["targets"]
        if dropout_key is not None:
            error = error + jax.random.normal(dropout_key, error.shape)
        loss = jnp.sum(batch["weights"] * error**2 / 2)
        return Sums(loss, 3 * loss, jnp.sum(batch["weights"]))


def batch(seed: int = 0) -> dict[str, np.ndarray]:
    """Ragged: micro-batches have very different numbers of tokens, and some rows have none."""
    rng = np.random.default_rng(seed)
    weights = (rng.random((ROWS, SEQ)) < np.linspace(0.1, 1, ROWS)[:, None]).astype(np.float32)
    weights[2] = 0
    weights[7] = 1
    return {
        "inputs": rng.normal(size=(ROWS, SEQ, FEATURES)).astype(np.float32),
        "targets": rng.normal(size=(ROWS, SEQ)).astype(np.float32),
        "weights": weights,
    }


def fresh(optimizer: optax.GradientTransformation) -> TrainState:
    weights = {"w": jnp.arange(1.0, 1 + FEATURES), "b": jnp.array([0.5])}
    zero = jnp.zeros((), jnp.int32)
    return TrainState(zero, zero, weights, optimizer.init(weights), {})


def rate(step: Any) -> Any:
    return 0.2 / (1.0 + step)


@pytest.mark.parametrize("accumulate", [1, 2, 4, 8])
def test_steps_are_those_of_numpy_however_a_batch_is_cut(accumulate: int) -> None:
    b1, b2, eps, decay, clip = 0.7, 0.8, 1e-2, 0.5, 1.5
    optimizer = AdamW(b1, b2, eps, decay, clip).transform(rate, TABLE)
    step = jax.jit(
        make_step(Line(), Squares(), optimizer, rate, seed=0, accumulate=accumulate)
    )
    state = fresh(optimizer)
    weights = np.array([1.0, 2, 3, 4, 0.5])
    decayed = np.array([1.0, 1, 1, 1, 0])
    mean = square = np.zeros(5)
    clipped = []
    for t in range(1, 5):
        data = batch(t)
        data["inputs"] /= t**2  # gradients on both sides of the clip
        x = np.concatenate([data["inputs"], np.ones((ROWS, SEQ, 1))], -1).reshape(-1, 5)
        x, w = x.astype(np.float64), data["weights"].ravel().astype(np.float64)
        error = x @ weights - data["targets"].ravel()
        gradient = (w * error) @ x / w.sum()
        norm = np.sqrt((gradient**2).sum())
        expected = {
            "train/loss": 3 * (w * error**2 / 2).sum() / w.sum(),
            "train/objective": (w * error**2 / 2).sum() / w.sum(),
            "train/grad_norm": norm,
            "train/learning_rate": rate(t - 1),
            "train/tokens": w.sum(),
        }
        clipped.append(norm > clip)
        gradient = gradient * min(1, clip / norm)
        mean = b1 * mean + (1 - b1) * gradient
        square = b2 * square + (1 - b2) * gradient**2
        adam = mean / (1 - b1**t) / (np.sqrt(square / (1 - b2**t)) + eps)
        weights = weights - rate(t - 1) * (adam + decay * decayed * weights)

        state, metrics = step(state, data)
        for key, value in expected.items():
            assert float(metrics[key]) == pytest.approx(value, rel=1e-5), (t, key)
        found = np.concatenate([state.weights["w"], state.weights["b"]])
        np.testing.assert_allclose(found, weights, rtol=1e-5)
        assert int(state.step) == t
    assert any(clipped) and not all(clipped)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_noise_is_a_function_of_seed_and_step(accumulate: int) -> None:
    optimizer = optax.sgd(0.0)

    def loss(seed: int, at: int, dropout: float = 0.5) -> float:
        step = make_step(
            Line(dropout), Squares(), optimizer, rate, seed=seed, accumulate=accumulate
        )
        state = fresh(optimizer)._replace(step=jnp.asarray(at, jnp.int32))
        after, metrics = jax.jit(step)(state, batch())
        np.testing.assert_array_equal(after.weights["w"], state.weights["w"])
        return float(metrics["train/objective"])

    assert loss(1, 3) == loss(1, 3)
    assert len({loss(1, 3), loss(1, 4), loss(2, 3), loss(2, 4), loss(1, 3, dropout=0.0)}) == 5
    assert loss(1, 3, dropout=0.0) == loss(2, 7, dropout=0.0)


def test_micro_batches_have_noise_of_their_own() -> None:
    """Equal rows would make equal errors if the noise were shared: the sum tells."""

    class Noise(Objective):
        def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
            noise = jax.random.normal(dropout_key, ())
            return Sums(noise + 0 * model["b"][0], noise**2, jnp.ones(()))

    optimizer = optax.sgd(0.0)
    step = make_step(Line(0.5), Noise(), optimizer, rate, seed=0, accumulate=8)
    _, metrics = jax.jit(step)(fresh(optimizer), batch())
    mean, square = float(metrics["train/objective"]), float(metrics["train/loss"])
    assert square - mean**2 > 0.1
