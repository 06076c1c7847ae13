"""Counts after any step against sums over steps, in fractions."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.timeline import Stage, Timeline


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    batch, sources = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    begin, stages = 0, []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.integers(1, 12))
        cuts = sorted(draw(st.lists(st.integers(0, steps * batch), min_size=sources - 1, max_size=sources - 1)))
        rows = np.diff([0, *cuts, steps * batch])
        stages.append(Stage(begin, steps, tuple(rows.tolist())))
        begin += steps * draw(st.integers(1, 3))
    return Timeline(batch, stages)


@given(timelines())
def test_counts_are_those_of_the_shares(timeline: Timeline) -> None:
    steps = timeline.stages[-1].begin + 3 * timeline.stages[-1].steps + 2
    read = timeline.rows(np.arange(steps + 1))
    due = [Fraction(0)] * timeline.sources
    for step in range(steps + 1):
        assert read[step].sum() == step * timeline.batch
        for count, wanted in zip(read[step].tolist(), due, strict=True):
            assert abs(count - wanted) < 1
        assert list(timeline.due(step)) == due
        shares = timeline.shares(step)
        assert sum(shares) == 1
        due = [wanted + share * timeline.batch for wanted, share in zip(due, shares, strict=True)]
    assert (np.diff(read, axis=0) >= 0).all()


@given(timelines(), st.integers(0, 200))
def test_a_step_alone_is_that_step_among_others(timeline: Timeline, step: int) -> None:
    assert timeline.rows(np.array([step])).tolist() == timeline.rows(np.arange(201))[[step]].tolist()


def test_step_ten_million_costs_what_step_zero_does() -> None:
    timeline = Timeline(64, [Stage(0, 10, (300, 200, 139, 1)), Stage(1000, 7, (100, 100, 100, 148))])

    def seconds(step: int) -> float:
        best = float("inf")
        for _ in range(20):
            start = time.perf_counter()
            timeline.rows(np.arange(step, step + 64))
            best = min(best, time.perf_counter() - start)
        return best

    seconds(2000)
    assert seconds(10_000_000) < 5 * seconds(2000)
    assert sum(timeline.due(10_000_000)) == 64 * 10_000_000


@pytest.mark.parametrize(
    ("batch", "stages", "message"),
    [
        (0, [Stage(0, 1, (0,))], "batch is 0, but must be at least 1"),
        (4, [], "begins at step None, not at 0"),
        (4, [Stage(3, 1, (4,))], "the first stage begins at step 3, not at 0"),
        (4, [Stage(0, 3, (6, 6)), Stage(4, 1, (2, 2))], "begins at step 4, where no block .* blocks have 3 steps"),
        (4, [Stage(0, 3, (6, 6)), Stage(0, 1, (2, 2))], "begins at step 0, where no block"),
        (4, [Stage(0, 3, (6, 5))], "has 11 rows in a block, not 3 times 4"),
    ],
)
def test_bad_stages(batch: int, stages: list[Stage], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Timeline(batch, stages)
