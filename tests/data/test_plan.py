"""The batch of a step is a pure function, the same for any number of hosts."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.plan import BatchPlan


@st.composite
def plans(draw: st.DrawFn) -> BatchPlan:
    sequence = draw(st.integers(1, 40))
    return BatchPlan(
        tokens=draw(st.integers(2 * sequence - 1, 2000)),
        sequence=sequence,
        batch=draw(st.sampled_from([1, 2, 4, 6, 12])),
        seed=draw(st.integers(0, 2**63)),
        shuffle=draw(st.booleans()),
    )


def global_rows(plan: BatchPlan, count: int) -> np.ndarray:
    steps = -(-count // plan.batch)
    return np.concatenate([plan.rows(step) for step in range(steps)])[:count]


@given(plan=plans(), epoch=st.integers(0, 2))
def test_an_epoch_visits_each_window_once(plan: BatchPlan, epoch: int) -> None:
    n = plan.rows_per_epoch
    starts = global_rows(plan, (epoch + 1) * n)[epoch * n :]
    shift = starts.min()
    assert sorted(starts) == [shift + i * plan.sequence for i in range(n)]
    assert 0 <= shift < plan.sequence
    assert starts.max() + plan.sequence <= plan.tokens


@given(plan=plans(), step=st.integers(0, 10**9), hosts=st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_hosts_share_the_same_batch(plan: BatchPlan, step: int, hosts: int) -> None:
    whole = plan.rows(step)
    if plan.batch % hosts:
        with pytest.raises(ValueError, match=f"batch is {plan.batch}.*{hosts} hosts"):
            plan.rows(step, 0, hosts)
    else:
        parts = [plan.rows(step, host, hosts) for host in range(hosts)]
        assert np.concatenate(parts).tolist() == whole.tolist()


@given(plan=plans(), step=st.integers(0, 10**9), steps=st.integers(1, 5), hosts=st.sampled_from([1, 2]))
def test_several_steps_at_once_are_those_steps(
    plan: BatchPlan, step: int, steps: int, hosts: int
) -> None:
    hosts = min(hosts, plan.batch)
    for host in range(hosts):
        alone = [plan.rows(step + i, host, hosts).tolist() for i in range(steps)]
        assert plan.rows(step, host, hosts, steps).tolist() == sum(alone, [])


@given(plan=plans())
def test_without_shuffling_the_stream_is_read_in_order(plan: BatchPlan) -> None:
    plan = BatchPlan(plan.tokens, plan.sequence, plan.batch, plan.seed, shuffle=False)
    n = plan.tokens // plan.sequence
    expected = [g % n * plan.sequence for g in range(2 * n)]
    assert global_rows(plan, 2 * n).tolist() == expected


def test_shifts_and_orders_differ_between_epochs_and_seeds() -> None:
    plan = BatchPlan(tokens=1000 * 64, sequence=64, batch=1, seed=0)
    n = plan.rows_per_epoch
    assert n == (64_000 - 63) // 64
    epochs = [[plan.rows(e * n + i)[0] for i in range(20)] for e in range(30)]
    assert len({start[0] % 64 for start in epochs}) > 15
    assert len({tuple(start // 64 for start in starts) for starts in epochs}) == 30
    other = BatchPlan(tokens=1000 * 64, sequence=64, batch=1, seed=1)
    assert [other.rows(i)[0] for i in range(20)] != epochs[0]


def test_shifts_are_uniform() -> None:
    plan = BatchPlan(tokens=31, sequence=16, batch=10_000, seed=3)
    counts = np.bincount(plan.rows(0), minlength=16)
    assert counts.size == 16
    assert ((counts - 625) ** 2 / 625).sum() < 15 + 5 * np.sqrt(30)


def test_a_batch_may_span_epochs_of_a_tiny_corpus() -> None:
    plan = BatchPlan(tokens=35, sequence=16, batch=8, seed=0)
    assert plan.rows_per_epoch == 1
    starts = plan.rows(0)
    assert starts.shape == (8,) and starts.max() + 16 <= 35 and len(set(starts.tolist())) > 1


def test_seeking_far_costs_what_seeking_nowhere_does() -> None:
    plan = BatchPlan(tokens=10**12, sequence=1024, batch=64, seed=0)

    def seconds(step: int) -> float:
        best = float("inf")
        for _ in range(20):
            start = time.perf_counter()
            plan.rows(step)
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(10_000_000) < 5 * seconds(0)
    assert plan.rows(10_000_000).tolist() == plan.rows(10_000_000).tolist()


def test_epoch_counts_rows() -> None:
    assert BatchPlan(tokens=100, sequence=10, batch=5, seed=0, shuffle=False).epoch(3) == 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, 10, 1, 0, False), "sequence is 10, .* at least 10 tokens, but this one has 9"),
        ((18, 10, 1, 0, True), "at least 19 tokens to shuffle, but this one has 18"),
        ((0, 10, 1, 0, True), "this one has 0"),
        ((100, 0, 1, 0), "sequence is 0, but must be at least 1"),
        ((100, 10, 0, 0), "batch is 0, but must be at least 1"),
    ],
)
def test_bad_plans(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchPlan(*arguments)


def test_bad_steps_and_hosts() -> None:
    plan = BatchPlan(tokens=100, sequence=10, batch=4, seed=0)
    with pytest.raises(ValueError, match="step is -1, but must be at least 0"):
        plan.rows(-1)
    with pytest.raises(ValueError, match="steps is 0, but must be at least 1"):
        plan.rows(0, steps=0)
    with pytest.raises(ValueError, match=r"host is 2, but must be in \[0, 2\)"):
        plan.rows(0, 2, 2)
