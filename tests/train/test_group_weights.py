"""Group DRO against NumPy float64 over several steps, however a batch is cut and on however many devices."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from train.group_losses import GroupLosses
from train.group_weights import GroupDRO
from train.objective import CausalLM, Objective, Sums
from train.state import Blueprint, TrainState
from train.step import make_step
from train.weights import Weight

ROWS, SEQ, FEATURES, RATE = 8, 5, 3, 0.3
NAMES = ("a", "b", "c")
TABLE = {"w": Weight(("w",), ("embed", "mlp"), (FEATURES,))}


class Line(Blueprint):
    """The model is its weights: y = x w."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(noisy=False)

    @property
    def table(self) -> Any:
        return TABLE

    def model(self, weights: Any) -> Any:
        return weights


class Squares(Objective):
    """Half of the squared error, half as much again for what is minimised."""

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        nll = jnp.sum(batch["weights"] * (batch["inputs"] @ model["w"] - batch["targets"]) ** 2 / 2)
        return Sums(1.5 * nll, nll, jnp.sum(batch["weights"]))


def batch(step: int) -> dict[str, np.ndarray]:
    """Ragged: groups differ in their tokens and their noise, and in step 2 one has none."""
    rng = np.random.default_rng(step)
    groups = rng.choice(3, (ROWS, SEQ), p=[0.7, 0.2, 0.1] if step != 2 else [0.6, 0.4, 0]).astype(np.int32)
    inputs = rng.normal(size=(ROWS, SEQ, FEATURES)).astype(np.float32)
    return {
        "inputs": inputs,
        "targets": (inputs.sum(-1) + groups * rng.normal(size=(ROWS, SEQ))).astype(np.float32),
        "weights": ((rng.random((ROWS, SEQ)) < np.linspace(0.2, 1, ROWS)[:, None]) * 1.0).astype(np.float32),
        "groups": groups,
    }


def state(objective: Objective, optimizer: optax.GradientTransformation) -> TrainState:
    zero, weights = jnp.zeros((), jnp.int32), {"w": jnp.zeros(FEATURES)}
    return TrainState(zero, zero, weights, optimizer.init(weights), objective.start())


def by_hand(steps: int, rate: float) -> list[dict[str, Any]]:
    """Algorithm 1 with all groups of a batch at once, and a step's losses moving the weights of the next."""
    w, q, found = np.zeros(FEATURES), np.ones(3) / 3, []
    mean = np.zeros(3)
    for step in range(steps):
        data = {key: np.asarray(value, np.float64) for key, value in batch(step).items()}
        error = data["inputs"] @ w - data["targets"]
        losses, gradient, scores = [np.nan] * 3, np.zeros(FEATURES), np.zeros(3)
        for group in range(3):
            own = data["weights"] * (data["groups"] == group)
            if own.sum():
                losses[group] = scores[group] = (own * error**2 / 2).sum() / own.sum()
                gradient += q[group] * 1.5 * np.einsum("rs,rsf->f", own * error, data["inputs"]) / own.sum()
        objective = 1.5 * (q * scores).sum()
        w = w - 0.2 * gradient
        q = q * np.exp(rate * scores)
        q /= q.sum()
        mean += q
        loss = (data["weights"] * error**2 / 2).sum() / data["weights"].sum()
        found.append(
            {"w": w, "q": q, "mean": mean / (step + 1), "losses": losses, "objective": objective, "loss": loss}
        )
    return found


@pytest.mark.parametrize(("accumulate", "devices"), [(1, 1), (4, 1), (1, 8)])
def test_group_dro_is_that_of_numpy(accumulate: int, devices: int) -> None:
    objective, optimizer = GroupDRO(NAMES, Squares(), rate=RATE), optax.sgd(0.2)
    step = jax.jit(make_step(Line(), objective, optimizer, lambda _: 0.2, seed=0, accumulate=accumulate))
    now, last = state(objective, optimizer), [np.nan] * 3
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
    for number, expected in enumerate(by_hand(4, RATE)):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        now, metrics = step(now, {key: jax.device_put(value, rows) for key, value in batch(number).items()})
        last = [new if np.isfinite(new) else old for new, old in zip(expected["losses"], last, strict=True)]
        np.testing.assert_allclose(now.weights["w"], expected["w"], rtol=2e-5, atol=1e-6)
        for index, name in enumerate(NAMES):
            np.testing.assert_allclose(metrics[f"train/loss/{name}"], last[index], rtol=2e-5)
            np.testing.assert_allclose(metrics[f"train/weight/{name}"], expected["q"][index], rtol=2e-5)
            np.testing.assert_allclose(metrics[f"train/mean_weight/{name}"], expected["mean"][index], rtol=2e-5)
        np.testing.assert_allclose(metrics["train/loss"], expected["loss"], rtol=2e-5)
        np.testing.assert_allclose(metrics["train/objective"], expected["objective"], rtol=2e-5)
        assert metrics["train/tokens"] == batch(number)["weights"].sum()
    assert np.isnan(by_hand(3, RATE)[2]["losses"][2])


def test_losses_of_groups_change_nothing() -> None:
    optimizer = optax.sgd(0.2)
    found = []
    for objective in (Squares(), GroupLosses(NAMES, Squares())):
        step = jax.jit(make_step(Line(), objective, optimizer, lambda _: 0.2, seed=0, accumulate=2))
        now = state(objective, optimizer)
        for number in range(3):
            now, metrics = step(now, batch(number))
        found.append((now.weights["w"], metrics))
    (plain, metrics), (grouped, more) = found
    np.testing.assert_allclose(plain, grouped, rtol=1e-6)
    assert set(more) - set(metrics) == {f"train/loss/{name}" for name in NAMES}
    for key, value in metrics.items():
        np.testing.assert_allclose(value, more[key], rtol=1e-5)


def test_weights_of_groups_are_named_as_the_batch_names_them() -> None:
    experiment = SimpleNamespace(batch=SimpleNamespace(groups=None))
    with pytest.raises(ValueError, match=r"objective\.names is a, b, c, but batch\.groups is none; both name the same"):
        GroupDRO(NAMES).check(experiment)
    experiment.batch.groups = SimpleNamespace(names=("c", "b", "a"))
    with pytest.raises(ValueError, match=r"but batch\.groups names c, b, a;"):
        GroupLosses(NAMES).check(experiment)
    experiment.batch.groups.names = NAMES
    GroupDRO(NAMES).check(experiment)
    with pytest.raises(ValueError, match=r"objective\.of is GroupLosses, which tells groups apart itself"):
        GroupDRO(NAMES, GroupLosses(NAMES, CausalLM())).check(experiment)
    with pytest.raises(ValueError, match=r"GroupDRO\.rate is 0\.0, but must be above 0"):
        GroupDRO(NAMES, rate=0.0)
