"""Timelines of mixtures against the weights they were asked for, summed step by step."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.mixture import BySize, Constant, Joining, Ramp, Stepwise, Weight
from data.mixture.schedule import Candidate, schedule
from data.timeline import Timeline

FOREVER = 10**6


def parts(*weights: Weight | float, limits: dict[int, int] | None = None) -> list[Candidate]:
    return [
        Candidate(
            "abcdef"[i],
            weight if isinstance(weight, Weight) else Constant(weight),
            Fraction(100 * (i + 1)),
            (limits or {}).get(i),
        )
        for i, weight in enumerate(weights)
    ]


def shares(timeline: Timeline, step: int) -> list[float]:
    return [float(share) for share in timeline.shares(step)]


def check(timeline: Timeline, steps: int) -> None:
    """Every step has its rows, none is taken back, and no source is ever a row off what is due."""
    read = timeline.rows(np.arange(steps + 1))
    assert (np.diff(read, axis=0) >= 0).all()
    assert (np.diff(read.sum(axis=1)) == timeline.batch).all()
    due = [Fraction(0)] * timeline.sources
    for step in range(steps + 1):
        assert all(abs(count - wanted) < 1 for count, wanted in zip(read[step].tolist(), due, strict=True))
        due = [w + share * timeline.batch for w, share in zip(due, timeline.shares(step), strict=True)]


def test_constant_weights_are_exact() -> None:
    timeline = schedule(parts(0.7, 0.2, 0.1), 8, FOREVER)
    assert timeline.shares(123) == (Fraction(7, 10), Fraction(1, 5), Fraction(1, 10))
    check(timeline, 300)


def test_sizes_weigh_to_a_thousandth_in_round_blocks() -> None:
    timeline = schedule(parts(BySize(), BySize(), BySize()), 7, FOREVER)
    assert shares(timeline, 0) == pytest.approx([1 / 6, 1 / 3, 1 / 2], rel=1e-3)
    assert 1000 % timeline.stages[0].steps == 0
    assert schedule(parts(BySize(), BySize()), 6, FOREVER).shares(0) == (Fraction(1, 3), Fraction(2, 3))


def test_weights_that_change_do_so_at_their_step() -> None:
    timeline = schedule(parts(Stepwise((0, 7, 33), (1.0, 3.0, 0.0)), 1.0), 10, FOREVER)
    for step, share in ((0, 0.5), (6, 0.5), (7, 0.75), (32, 0.75), (33, 0.0), (1000, 0.0)):
        assert shares(timeline, step)[0] == pytest.approx(share, abs=0.01), step
    check(timeline, 60)


def test_a_ramp_has_the_mean_of_its_line_on_each_stair() -> None:
    ramp = Ramp(first=0.2, last=0.8, begin=100, end=200, stairs=4)
    weights = [float(ramp.at(step, Fraction(1))) for step in (0, 99, 100, 124, 125, 150, 175, 199, 200, 10**6)]
    assert weights == pytest.approx([0.2, 0.2, 0.275, 0.275, 0.425, 0.575, 0.725, 0.725, 0.8, 0.8])
    line = sum(0.2 + 0.6 * (step + 0.5 - 100) / 100 for step in range(100, 200))
    assert float(sum(ramp.at(step, Fraction(1)) for step in range(100, 200))) == pytest.approx(line)
    timeline = schedule(parts(ramp, Ramp(0.8, 0.2, 100, 200, 4)), 20, FOREVER)
    check(timeline, 250)
    assert shares(timeline, 210) == [0.8, 0.2]


def test_a_part_joins_and_the_old_is_replayed() -> None:
    before = schedule(parts(3.0, 1.0), 8, FOREVER)
    after = schedule(parts(3.0, 1.0, Joining(50, 0.2)), 8, FOREVER)
    steps = np.arange(51)
    assert after.rows(steps)[:, :2].tolist() == before.rows(steps).tolist()
    assert not after.rows(steps)[:, 2].any()
    assert after.shares(50) == (Fraction(3, 5), Fraction(1, 5), Fraction(1, 5))
    check(after, 150)
    # Joined twice: all that was there is the old, and keeps its proportions in what is left.
    twice = schedule(parts(3.0, 1.0, Joining(50, 0.2), Joining(100, 0.5)), 8, FOREVER)
    assert twice.rows(np.arange(101))[:, :3].tolist() == after.rows(np.arange(101)).tolist()
    assert twice.shares(100) == (Fraction(3, 10), Fraction(1, 10), Fraction(1, 10), Fraction(1, 2))
    # At the same step, none is the other's old.
    at_once = schedule(parts(1.0, Joining(50, 0.2), Joining(50, 0.3)), 10, FOREVER)
    assert at_once.shares(60) == (Fraction(1, 2), Fraction(1, 5), Fraction(3, 10))


def test_a_part_joins_where_a_block_ends() -> None:
    with pytest.raises(ValueError, match="'c' joins at step 52, .* blocks of 5 steps.* nearest steps are 50 and 55"):
        schedule(parts(0.7, 0.3, Joining(52, 0.5)), 2, FOREVER)
    schedule(parts(0.7, 0.3, Joining(55, 0.5)), 2, FOREVER)


@given(
    batch=st.integers(1, 40),
    weights=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    limit=st.integers(0, 400),
    steps=st.integers(1, 120),
)
def test_a_limit_is_kept_and_all_but_used(batch: int, weights: list[int], limit: int, steps: int) -> None:
    candidates = parts(*map(float, weights), limits={0: limit})
    timeline = schedule(candidates, batch, steps)
    check(timeline, steps)
    read = timeline.rows(np.arange(steps + 1))
    assert read[-1, 0] <= limit
    ended = [step for step in range(steps) if not timeline.shares(step)[0]]
    if ended:
        # It stops where less is left of it than it would have in one step; the others have the rest by their weights.
        share = Fraction(weights[0], sum(weights))
        assert limit - read[-1, 0] <= share * batch + 1
        rest = timeline.shares(ended[-1])[1:]
        assert [float(r) for r in rest] == pytest.approx([w / sum(weights[1:]) for w in weights[1:]], rel=0.2, abs=0.1)
    elif limit >= read[-1, 0]:
        assert abs(read[-1, 0] - steps * batch * Fraction(weights[0], sum(weights))) < 1 + timeline.batch


@given(batch=st.integers(1, 30), limit=st.integers(1, 200), steps=st.integers(1, 60), more=st.integers(1, 60))
def test_a_longer_run_begins_like_a_shorter_one(batch: int, limit: int, steps: int, more: int) -> None:
    candidates = parts(5.0, 3.0, Stepwise((0, 17), (2.0, 4.0)), limits={1: limit})
    short, long = schedule(candidates, batch, steps), schedule(candidates, batch, steps + more)
    assert short.rows(np.arange(steps + 1)).tolist() == long.rows(np.arange(steps + 1)).tolist()


def test_when_all_is_used_up_the_step_is_told() -> None:
    limited = parts(1.0, 1.0, limits={0: 40, 1: 60})
    assert schedule(limited, 10, 10).rows(np.array([10])).tolist() == [[40, 60]]
    with pytest.raises(ValueError, match="at step 10 every part .* as often as its max_epochs allows"):
        schedule(limited, 10, 11)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((0.0, 0.0), "no part of the mixture has a weight above 0 at step 0"),
        ((Stepwise((0, 10), (1.0, 0.0)), 0.0), "no part of the mixture has a weight above 0 at step 10"),
        ((1.0, 1e-9), "'b' has 1e-09 of the mixture, less than a row in 1000 steps of 8 rows"),
        ((1.0, Joining(0, 0.6), Joining(0, 0.6)), "'b' and 'c' join at step 0 with more than all rows"),
    ],
)
def test_mixtures_that_cannot_be(weights: tuple[Weight | float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        schedule(parts(*weights), 8, FOREVER)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1.0), "Constant.weight is -1.0, but a weight is a number of at least 0"),
        (lambda: Constant(float("nan")), "Constant.weight is nan"),
        (lambda: Stepwise((0, 5, 5), (1.0, 2.0, 3.0)), "has 5 after 5; give steps in order"),
        (lambda: Stepwise((3,), (1.0,)), "the first weight holds from step 0 on"),
        (lambda: Stepwise((0, 5), (1.0,)), "2 steps and 1 weights"),
        (lambda: Stepwise((0, 5), (1.0, -1.0)), "Stepwise.weights is -1.0"),
        (lambda: Ramp(1.0, 2.0, 10, 10), "Ramp goes from step 10 to 10"),
        (lambda: Ramp(1.0, 2.0, 10, 15), r"Ramp.stairs is 10, but must be in \[1, 5\]"),
        (lambda: Ramp(1.0, -2.0, 0, 15), "Ramp.last is -2.0"),
        (lambda: Joining(-1, 0.5), "Joining.at_step is -1"),
        (lambda: Joining(5, 0.0), "Joining.share is 0.0"),
        (lambda: Joining(5, 1.5), "Joining.share is 1.5"),
    ],
)
def test_weights_that_cannot_be(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


