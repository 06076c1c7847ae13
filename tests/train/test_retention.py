"""Which checkpoints stay."""

from hypothesis import given
from hypothesis import strategies as st

from data.spec import build, describe, override
from train.experiment import Cadence
from train.retention import Keep, Saved

NAN = float("nan")


def test_each_rule_keeps_its_own() -> None:
    metrics = [3.0, 1.0, None, NAN, 2.0, 2.0, 4.0, 5.0]
    saved = [Saved(10 * (i + 1), True, metric) for i, metric in enumerate(metrics)]
    assert Keep(latest=2).stay(saved) == {70, 80}
    assert Keep(latest=1, every=30).stay(saved) == {80, 30, 60}
    # Of equals the newer; what is not measured, or no number, is not among the best.
    assert Keep(latest=1, best=2).stay(saved) == {80, 20, 60}
    assert Keep(latest=1, best=9).stay(saved) == {10, 20, 50, 60, 70, 80}


def test_the_newest_good_one_stays() -> None:
    saved = [Saved(1), Saved(2), Saved(3, good=False), Saved(4, good=False), Saved(5, good=False)]
    assert Keep(latest=2).stay(saved) == {2, 4, 5}


@given(
    st.lists(st.builds(Saved, st.integers(0, 99), st.booleans(), st.none() | st.floats()), unique_by=lambda s: s.step),
    st.builds(Keep, st.integers(1, 4), st.integers(0, 5), st.integers(0, 4)),
)
def test_what_is_deleted_is_never_missed(saved: list[Saved], keep: Keep) -> None:
    """Deleting after each save or only once at the end keeps the same."""
    held: list[Saved] = []
    order = sorted(saved, key=lambda one: one.step)
    for one in order:
        held = [other for other in [*held, one] if other.step in keep.stay([*held, one])]
    assert {one.step for one in held} == keep.stay(order)
    assert {one.step for one in order[-1:]} <= keep.stay(order)


def test_a_number_stands_for_the_latest() -> None:
    assert Cadence(keep=3) == Cadence(keep=Keep(3))
    old = {"type": "Cadence", "log": 10, "evaluate": 500, "checkpoint": 500, "keep": 4}
    assert build(old, Cadence).keep == Keep(latest=4)
    assert build(describe(Cadence()), Cadence) == Cadence()
    assert override(Cadence(), ["keep=9"]).keep == Keep(9)
    assert override(Cadence(), ["keep=Keep(best=1)"]).keep == Keep(best=1)
