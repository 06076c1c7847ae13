"""Batches that grow: counted up by hand, read in order, and learnt from as whole batches are."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.batch_growth import BatchGrowth, Gradual, Stages, Steady
from train.meters import Throughput
from train.objective import Objective, Sums
from train.state import Blueprint, TrainState
from train.step import make_step


@st.composite
def growths(draw: Callable[..., Any]) -> BatchGrowth:
    lengths = draw(st.lists(st.integers(1, 9), min_size=0, max_size=4))
    factors = draw(st.lists(st.integers(1, 5), min_size=len(lengths) + 1, max_size=len(lengths) + 1))
    stages = Stages((0, *itertools.accumulate(lengths)), tuple(factors))
    return draw(st.sampled_from([Steady(), stages, Gradual(draw(st.integers(2, 5)), draw(st.integers(1, 60)))]))


@given(growth=growths(), steps=st.integers(0, 60))
def test_units_are_the_sum_of_the_factors(growth: BatchGrowth, steps: int) -> None:
    assert growth.units(steps) == sum(growth.factor(step) for step in range(steps))


def test_landmarks() -> None:
    palm = Stages((0, 50_000, 115_000), (1, 2, 4))
    assert [palm.factor(s) for s in (0, 49_999, 50_000, 114_999, 115_000, 10**9)] == [1, 1, 2, 2, 4, 4]
    assert palm.units(255_000) == 50_000 + 65_000 * 2 + 140_000 * 4
    assert Gradual(4, 36).stages() == ((0, 1), (12, 2), (18, 3), (22, 4))
    # Linear in the data read: factor f holds while units / each is between f - 1 and f.
    even = Gradual(9, 8 * 840)
    assert all(even.factor(step) == min(even.units(step) // 840 + 1, 9) for step in range(3000))


@given(growth=growths(), start=st.integers(0, 20))
def test_batches_hold_the_units_in_order_for_any_number_of_hosts(growth: BatchGrowth, start: int) -> None:
    rows = 6

    def batches(host: int, hosts: int) -> list[np.ndarray]:
        share = rows // hosts
        places = np.arange(host * share, (host + 1) * share)
        units = ((u, {"x": u * 100 + places}) for u in itertools.count(growth.units(start)))
        return [batch["x"] for _, batch in itertools.islice(growth.grown(units, start), 12)]

    whole = batches(0, 1)
    for step, batch in enumerate(whole, start):
        first = growth.units(step)
        expected = [u * 100 + row for row in range(rows) for u in range(first, first + growth.factor(step))]
        assert batch.tolist() == expected
    for parts in zip(whole, *(batches(host, 3) for host in range(3)), strict=True):
        np.testing.assert_array_equal(parts[0], np.concatenate(parts[1:]))


class Line(Blueprint):
    """The model is its weights: y = x w."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(noisy=False)

    def model(self, weights: Any) -> Any:
        return weights


class Squares(Objective):
    """Half of the squared error."""

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        loss = jnp.sum(batch["weights"] * jnp.square(batch["inputs"] @ model["w"] - batch["targets"]) / 2)
        return Sums(loss, loss, jnp.sum(batch["weights"]))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_grown_step_learns_from_all_of_its_units_and_passes_over_them(accumulate: int) -> None:
    chance = np.random.default_rng(0)
    units = [
        {
            "inputs": chance.normal(size=(4, 3, 2)).astype(np.float32),
            "targets": chance.normal(size=(4, 3)).astype(np.float32),
            "weights": (chance.random((4, 3)) < 0.6).astype(np.float32),
        }
        for _ in range(3)
    ]
    _, batch = next(Stages((0,), (3,)).grown(iter(enumerate(units)), 0))
    start = np.array([0.5, -1.0])
    x, y, w = (np.concatenate([unit[k] for unit in units]).astype(float) for k in ("inputs", "targets", "weights"))
    gradient = np.einsum("bs,bs,bsf->f", w, x @ start - y, x) / w.sum()

    optimizer = optax.sgd(0.1)
    step = make_step(Line(), Squares(), optimizer, lambda s: 0.1, seed=0, accumulate=accumulate, units=3)
    weights = {"w": jnp.asarray(start, jnp.float32)}
    zero = jnp.zeros((), jnp.int32)
    state, metrics = jax.jit(step)(TrainState(zero, zero + 7, weights, optimizer.init(weights), {}), batch)
    np.testing.assert_allclose(state.weights["w"], start - 0.1 * gradient, rtol=1e-5)
    assert (int(state.step), int(state.position)) == (1, 10)
    assert float(metrics["train/tokens"]) == w.sum()


def test_throughput_counts_the_tokens_that_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = Stages((0, 5), (1, 4))
    clock = iter([0.0, 2.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    meter = Throughput(lambda steps: 100 * growth.units(steps), 1.0)
    assert meter.read(0) == {}
    found = meter.read(10)
    assert found["perf/tokens_per_second"] == 100 * (5 + 5 * 4) / 2.0
    assert found["perf/step_seconds"] == 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stages((0, 1), (1,)), "2 steps and 1 factors; give as many"),
        (lambda: Stages((), ()), "the first factor holds from step 0 on"),
        (lambda: Stages((1,), (1,)), r"begins with \(1,\)"),
        (lambda: Stages((0, 5, 5), (1, 2, 3)), "has 5 after 5; give steps in order"),
        (lambda: Stages((0,), (0,)), "has 0; a step reads at least 1 unit"),
        (lambda: Gradual(1, 10), r"is 1; it is at least 2 \(Steady does not grow\)"),
        (lambda: Gradual(2, 0), "over_units is 0; it is at least 1"),
    ],
)
def test_bad_growth(make: Callable[[], BatchGrowth], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
