"""The batch of a step is a pure function, the same for any number of hosts."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.plan import BatchPlan, Slots, SourceRows
from data.timeline import Stage, Timeline

BATCHES = (1, 2, 4, 6, 12)


def alone(rows: int, batch: int, seed: int = 0) -> BatchPlan:
    return BatchPlan(Timeline.alone(batch), (SourceRows("", rows),), seed)


@st.composite
def plans(draw: st.DrawFn) -> BatchPlan:
    batch, seed = draw(st.sampled_from(BATCHES)), draw(st.integers(0, 2**64))
    if draw(st.booleans()):
        return alone(draw(st.integers(1, 100)), batch, seed)
    steps = draw(st.integers(1, 9))
    cuts = sorted(draw(st.lists(st.integers(0, steps * batch), min_size=2, max_size=2)))
    rows = np.diff([0, *cuts, steps * batch]).tolist()
    sources = tuple(SourceRows(name, draw(st.integers(1, 50))) for name in "abc")
    return BatchPlan(Timeline(batch, [Stage(0, steps, tuple(rows))]), sources, seed)


def read(plan: BatchPlan, steps: int) -> Slots:
    return plan.slots(0, steps=steps)


@given(plan=plans())
def test_an_epoch_of_a_source_has_each_row_once(plan: BatchPlan) -> None:
    slots = read(plan, 60)
    for number, source in enumerate(plan.sources):
        chosen = slots.source == number
        # Epochs are told apart by their keys; the last may be unfinished.
        epochs = list(dict.fromkeys(slots.epoch[chosen].tolist()))
        found = [slots.row[chosen & (slots.epoch == key)].tolist() for key in epochs]
        counts = sorted(map(len, found), reverse=True)
        assert counts[:-1] == [source.rows] * len(counts[:-1])
        for rows in found:
            assert len(set(rows)) == len(rows) and set(rows) <= set(range(source.rows))


@given(plan=plans())
def test_a_step_has_as_many_rows_of_a_source_as_the_timeline_says(plan: BatchPlan) -> None:
    wanted = np.diff(plan.timeline.rows(np.arange(21)), axis=0)
    source = plan.slots(0, steps=20).source.reshape(20, plan.batch)
    for step in range(20):
        assert np.bincount(source[step], minlength=len(plan.sources)).tolist() == wanted[step].tolist()


@given(plan=plans(), step=st.integers(0, 10**9), hosts=st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_hosts_share_the_same_batch(plan: BatchPlan, step: int, hosts: int) -> None:
    whole = plan.slots(step)
    if plan.batch % hosts:
        with pytest.raises(ValueError, match=f"batch is {plan.batch}.*{hosts} hosts"):
            plan.slots(step, 0, hosts)
    else:
        parts = [plan.slots(step, host, hosts) for host in range(hosts)]
        for found, wanted in zip(zip(*parts, strict=True), whole, strict=True):
            assert np.concatenate(found).tolist() == wanted.tolist()


@given(plan=plans(), step=st.integers(0, 10**9), steps=st.integers(1, 5), hosts=st.sampled_from([1, 2]))
def test_several_steps_at_once_are_those_steps(plan: BatchPlan, step: int, steps: int, hosts: int) -> None:
    hosts = min(hosts, plan.batch)
    for host in range(hosts):
        alone = [plan.slots(step + i, host, hosts) for i in range(steps)]
        together = plan.slots(step, host, hosts, steps)
        for found, wanted in zip(together, zip(*alone, strict=True), strict=True):
            assert found.tolist() == np.concatenate(wanted).tolist()


@given(plan=plans(), step=st.integers(0, 10**9))
def test_every_row_has_a_key_of_its_own(plan: BatchPlan, step: int) -> None:
    keys = plan.slots(step, steps=3).key.tolist()
    assert len(set(keys)) == len(keys)


def test_what_a_source_gives_does_not_depend_on_what_it_is_mixed_with() -> None:
    a, b, c = (SourceRows(name, 20) for name in "abc")
    two = BatchPlan(Timeline(8, [Stage(0, 1, (3, 5))]), (a, b), 5)
    three = BatchPlan(Timeline(8, [Stage(0, 1, (2, 3, 3))]), (c, a, b), 5)
    here, there = two.slots(0, steps=40), three.slots(0, steps=40)
    found, wanted = (s.row[s.source == n].reshape(40, 3) for s, n in ((here, 0), (there, 1)))
    assert np.sort(found, axis=1).tolist() == np.sort(wanted, axis=1).tolist()


def test_a_source_that_joins_changes_nothing_before() -> None:
    old = BatchPlan(Timeline(6, [Stage(0, 5, (20, 10))]), (SourceRows("a", 40), SourceRows("b", 30)), 1)
    joined = Timeline(6, [Stage(0, 5, (20, 10, 0)), Stage(50, 5, (10, 5, 15))])
    new = BatchPlan(joined, (*old.sources, SourceRows("c", 20)), 1)
    for found, wanted in zip(new.slots(0, steps=50), old.slots(0, steps=50), strict=True):
        assert found.tolist() == wanted.tolist()
    assert np.bincount(new.slots(50, steps=20).source).tolist() == [40, 20, 60]
    # Alone until then, a source keeps its order of rows too.
    single = BatchPlan(Timeline.alone(6), (SourceRows("a", 40),), 1)
    later = Timeline(6, [Stage(0, 1, (6, 0)), Stage(9, 1, (3, 3))])
    grown = BatchPlan(later, (*single.sources, SourceRows("b", 30)), 1)
    for found, wanted in zip(grown.slots(0, steps=9), single.slots(0, steps=9), strict=True):
        assert found.tolist() == wanted.tolist()


def test_parts_of_a_batch_have_their_share_of_every_source() -> None:
    timeline = Timeline(64, [Stage(0, 1, (16, 48))])
    plan = BatchPlan(timeline, (SourceRows("a", 10**6), SourceRows("b", 10**6)), 0)
    shares = [plan.slots(0, host, 4, steps=500).source.reshape(500, 16) for host in range(4)]
    counts = [(share == 0).sum(axis=1) for share in shares]
    # Hypergeometric: 16 places drawn of 64, of which 16 are of source a. Mean 4, variance 16 * 1/4 * 3/4 * 48/63.
    variance = 16 * (1 / 4) * (3 / 4) * 48 / 63
    assert abs(np.mean(counts) - 4) < 1e-9
    assert abs(np.var(counts) - variance) < 0.3


def test_orders_differ_between_epochs_seeds_and_names() -> None:
    n = 999
    plan = alone(n, 1)
    epochs = [tuple(plan.slots(e * n, steps=20).row.tolist()) for e in range(30)]
    assert len(set(epochs)) == 30
    assert tuple(alone(n, 1, seed=1).slots(0, steps=20).row.tolist()) != epochs[0]
    named = BatchPlan(Timeline.alone(1), (SourceRows("web", n),), 0)
    assert tuple(named.slots(0, steps=20).row.tolist()) != epochs[0]


def test_a_batch_may_span_epochs_of_a_tiny_corpus() -> None:
    slots = alone(1, 8).slots(0)
    assert slots.row.tolist() == [0] * 8 and len(set(slots.epoch.tolist())) == 8


def test_seeking_far_costs_what_seeking_nowhere_does() -> None:
    timeline = Timeline(64, [Stage(0, 5, (200, 119, 1))])
    plan = BatchPlan(timeline, tuple(SourceRows(name, 10**9) for name in "abc"), 0)

    def seconds(step: int) -> float:
        best = float("inf")
        for _ in range(20):
            start = time.perf_counter()
            plan.slots(step)
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(10_000_000) < 5 * seconds(0)
    assert plan.slots(10_000_000).row.tolist() == plan.slots(10_000_000).row.tolist()


def test_bad_plans() -> None:
    with pytest.raises(ValueError, match="the timeline is for 1 sources, but there are 2"):
        BatchPlan(Timeline.alone(4), (SourceRows("a", 1), SourceRows("b", 1)), 0)
    with pytest.raises(ValueError, match="source 'a' has 0 rows"):
        BatchPlan(Timeline.alone(4), (SourceRows("a", 0),), 0)


def test_bad_steps_and_hosts() -> None:
    plan = alone(10, 4)
    with pytest.raises(ValueError, match="step is -1, but must be at least 0"):
        plan.slots(-1)
    with pytest.raises(ValueError, match="steps is 0, but must be at least 1"):
        plan.slots(0, steps=0)
    with pytest.raises(ValueError, match=r"host is 2, but must be in \[0, 2\)"):
        plan.slots(0, 2, 2)
