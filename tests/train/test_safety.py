"""Bad steps: told apart as NumPy tells them, and without any trace in the state."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.spec import override
from train.objective import Objective, Sums
from train.optimizers import AdamW
from train.safety import Finite, Safety, Spikes, Unguarded
from train.state import Blueprint, TrainState
from train.step import make_step
from train.weights import Weight

TABLE = {"w": Weight(("w",), ("embed", "mlp"), (3,))}


class Line(Blueprint):
    """The model is its weights."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(noisy=False)

    def model(self, weights: Any) -> Any:
        return weights


class Pull(Objective):
    """Its gradient is the mean of the batch's rows; it keeps how many batches it has seen."""

    def start(self) -> Any:
        return {"seen": jnp.zeros((), jnp.int32)}

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        loss = jnp.sum(batch["inputs"] @ model["w"])
        return Sums(loss, loss, jnp.float32(batch["inputs"].shape[0]))

    def moved(self, kept: Any, batch: Any, total: Sums) -> Any:
        return {"seen": kept["seen"] + 1}


def batch(value: float) -> dict[str, Any]:
    rows = np.full((4, 3), value, np.float32)
    rows[:, 1] *= 2
    return {"inputs": rows, "targets": np.zeros((4, 1), np.int32), "weights": np.ones((4, 1), np.float32)}


def run(values: list[float], safety: Safety, accumulate: int = 1) -> tuple[list[TrainState], list[dict]]:
    optimizer = AdamW(clip=0.0).transform(lambda step: 0.1 / (1 + step), TABLE)
    how = {"seed": 0, "accumulate": accumulate, "units": 2, "safety": safety}
    step = jax.jit(make_step(Line(), Pull(), optimizer, lambda step: 0.1 / (1 + step), **how))
    weights, zero = {"w": jnp.ones(3)}, jnp.zeros((), jnp.int32)
    states = [TrainState(zero, zero, weights, optimizer.init(weights), Pull().start(), safety.start())]
    metrics = []
    for value in values:
        state, said = step(states[-1], batch(value))
        states.append(state)
        metrics.append({key: float(found) for key, found in said.items()})
    return states, metrics


def same(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e19])
def test_a_bad_step_leaves_no_trace(bad: float, accumulate: int) -> None:
    """What follows is what it would be had the batch never been there. 3e19 is finite, but not its square."""
    states, metrics = run([1.0, bad, -2.0, 0.5], Safety(), accumulate)
    others, expected = run([1.0, -2.0, 0.5], Safety(), accumulate)
    for field in ("weights", "optimizer", "objective"):
        assert same(getattr(states[2], field), getattr(states[1], field)), field
        assert same(getattr(states[-1], field), getattr(others[-1], field)), field
    assert [int(s.step) for s in states] == [0, 1, 2, 3, 4] and int(states[-1].position) == 8
    assert [m["train/skipped"] for m in metrics] == [0, 1, 1, 1]
    assert [m["train/skipped_in_a_row"] for m in metrics] == [0, 1, 0, 0]
    # The rate is that of the update that is made.
    assert metrics[-1]["train/learning_rate"] == expected[-1]["train/learning_rate"]


def test_without_a_guard_a_bad_step_spoils_the_weights() -> None:
    states, metrics = run([1.0, np.nan], Safety(Unguarded()))
    assert np.isnan(np.asarray(states[-1].weights["w"])).all() and states[-1].guard == {}
    assert "train/skipped" not in metrics[-1]


def test_the_first_long_row_is_remembered_with_its_place() -> None:
    nan = np.nan
    _, metrics = run([1, nan, 1, nan, nan, nan, nan, 1, nan, nan, nan, nan], Safety(patience=3))
    tripped = [m["safety/tripped"] for m in metrics]
    assert tripped == [0] * 5 + [1] * 7
    places = [(m["safety/step"], m["safety/first"], m["safety/until"]) for m in metrics]
    # Two units a step: step 4 read from 6 on.
    assert places[5] == (3, 6, 12) and set(places[6:]) == {(3, 6, 14)}
    assert not any(m["safety/tripped"] for m in run([nan] * 6, Safety(patience=0))[1])


def test_spikes_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    deviations, window = 3.0, 16
    values = np.exp(rng.normal(size=120) * 0.3)
    values[[3, 40, 41, 80, 100]] *= [1e3, 50.0, 20.0, 3.0, 1e4]
    states, metrics = run(list(values), Safety(Spikes(deviations, window), patience=0))
    good: list[float] = []
    expected = []
    for value in values:
        log = np.log(np.linalg.norm([value, 2 * value, value]))
        recent = np.array(good[-window:], np.float64)
        spike = len(good) >= window // 2 and log > recent.mean() + deviations * recent.std()
        expected.append(spike)
        if not spike:
            good.append(log)
    found = np.diff([0, *(m["train/skipped"] for m in metrics)]) > 0
    assert found.tolist() == expected
    assert expected[40] and expected[100] and not expected[3]
    assert int(states[-1].guard["guard"]["count"]) == len(good)
    np.testing.assert_allclose(np.sort(states[-1].guard["guard"]["norms"]), np.sort(good[-window:]), rtol=1e-5)


def test_specs_are_checked_and_can_be_written() -> None:
    with pytest.raises(ValueError, match="deviations is above 0"):
        Spikes(deviations=0.0)
    with pytest.raises(ValueError, match="safety.patience is -1; it is 0 or more"):
        Safety(patience=-1)
    assert override(Safety(), ["guard=Spikes(window=32)", "patience=2"]) == Safety(Spikes(window=32), 2)
    assert Safety().guard == Finite()
