"""The gradient noise scale against Gaussian gradients of known covariance, and a linear model in closed form."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.objective import Objective, Sums
from train.probe import Seen
from train.probes.noise_scale import NoiseScale
from train.state import Blueprint, TrainState
from train.step import make_step

SQUARE, TRACE, ROW = "noise/gradient_square", "noise/trace", "noise/row_tokens"


def test_gaussian_gradients() -> None:
    """Micro-batches of very different numbers of tokens, and weights of covariance 0.5 to 4."""
    rng = np.random.default_rng(0)
    mean, deviation = np.array([0.3, -0.2, 0.5, 0.1]), np.sqrt([0.5, 1, 2, 4])
    tokens = np.array([2, 3, 11, 40])
    probe = jax.jit(lambda *values: NoiseScale().measured(Seen({}, {}, *values)))
    weights, draws, found = jnp.zeros((8, 7)), 4000, []
    batch = {"weights": weights}
    for _ in range(draws):
        # The mean of n independent gradients is exactly this.
        parts = mean + deviation * rng.normal(size=(4, 4)) / np.sqrt(tokens)[:, None]
        whole = tokens @ parts / tokens.sum()
        total = Sums(jnp.zeros(()), jnp.zeros(()), jnp.asarray(float(tokens.sum())))
        square, inverse = (parts**2).sum(1).mean(), (1 / tokens).mean()
        found.append(probe({"w": jnp.asarray(whole, jnp.float32)}, {}, batch, total, jnp.asarray(square),
                           jnp.asarray(inverse)))  # fmt: skip
    for key, expected in ((SQUARE, (mean**2).sum()), (TRACE, (deviation**2).sum())):
        values = np.array([one[key] for one in found], np.float64)
        error = values.std() / np.sqrt(draws)
        # Biased formulas would lie outside: with the mean size for the small batch, tr(S) would be twice as large.
        assert abs(values.mean() - expected) < 4 * error and error < 0.05 * expected
    assert float(found[0][ROW]) == tokens.sum() / 8


class Line(Blueprint):
    """The model is its weights: y = x w."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(noisy=False)

    @property
    def table(self) -> Any:
        return {}

    def model(self, weights: Any) -> Any:
        return weights


class Squares(Objective):
    """Half of the squared error."""

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        loss = jnp.sum(batch["weights"] * (batch["inputs"] @ model["w"] - batch["targets"]) ** 2 / 2)
        return Sums(loss, loss, jnp.sum(batch["weights"]))


def test_a_linear_model() -> None:
    """With normal inputs, weights off by r and noise s, G = r and tr(S) = (d + 1) |r|^2 + d s^2."""
    rng, features, noise, draws = np.random.default_rng(1), 3, 0.7, 3000
    off = np.array([0.6, -0.3, 0.2])
    probe, optimizer = NoiseScale(), optax.sgd(0.0)
    step = jax.jit(make_step(Line(), Squares(), optimizer, lambda _: 0.0, seed=0, accumulate=4, probes=[probe]))
    weights, zero = {"w": jnp.asarray(off, jnp.float32)}, jnp.zeros((), jnp.int32)
    now, found = TrainState(zero, zero, weights, optimizer.init(weights), {}), []
    for _ in range(draws):
        counted = (rng.random((8, 4)) < np.tile([0.3, 0.6, 0.9, 1], 2)[:, None]).astype(np.float32)
        counted[:, 0] = 1
        data = {
            "inputs": rng.normal(size=(8, 4, features)).astype(np.float32),
            "targets": (noise * rng.normal(size=(8, 4))).astype(np.float32),
            "weights": counted,
        }
        now, metrics = step(now, data)
        found.append({key: float(metrics[key]) for key in (SQUARE, TRACE, ROW)})
    square = (off**2).sum()
    for key, expected in ((SQUARE, square), (TRACE, (features + 1) * square + features * noise**2)):
        values = np.array([one[key] for one in found])
        error = values.std() / np.sqrt(draws)
        assert abs(values.mean() - expected) < 4 * error and error < 0.05 * expected
    data["weights"][1::4] = 0
    _, metrics = step(now, data)
    assert np.isnan(metrics[TRACE])


def test_averages_are_taken_apart() -> None:
    rng = np.random.default_rng(2)
    lines = [
        {"step": i, SQUARE: float(s), TRACE: float(t), ROW: 7.5}
        for i, s, t in zip(range(1, 41), rng.normal(1, 2, 40), rng.normal(50, 30, 40), strict=True)
    ]
    lines.insert(5, {"step": 5, "eval/loss": 1.0})
    lines[20][TRACE] = lines[20][SQUARE] = float("nan")
    whole = NoiseScale(0.9).critical(lines)
    good = [line for line in lines if TRACE in line and not np.isnan(line[TRACE])]
    share = 0.9 ** np.arange(len(good))[::-1]
    expected = share @ [line[TRACE] for line in good] / (share @ [line[SQUARE] for line in good])
    assert whole["noise/critical_tokens"] == pytest.approx(expected)
    assert whole["noise/critical_rows"] == pytest.approx(expected / 7.5)
    assert NoiseScale().critical([]) == {}
    negative = [{"step": 1, SQUARE: -1.0, TRACE: 3.0, ROW: 7.5}]
    assert NoiseScale().critical(negative) == {}


def test_one_micro_batch_is_not_enough() -> None:
    experiment = SimpleNamespace(batch=SimpleNamespace(accumulate=1))
    with pytest.raises(ValueError, match=r"but batch\.accumulate is 1; set it to 2 or more"):
        NoiseScale().check(experiment)
    experiment.batch.accumulate = 2
    NoiseScale().check(experiment)
    with pytest.raises(ValueError, match=r"NoiseScale\.smoothing is 1\.0, but must be at least 0 and below 1"):
        NoiseScale(smoothing=1.0)
