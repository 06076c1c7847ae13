"""Wall time by purpose, told by a clock that the test turns by hand."""

import json
from pathlib import Path

import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from train.clock import PURPOSES, Clock, read_clock


class Hands:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def clock(path: Path, hands: Hands, calendar: Hands | None = None) -> Clock:
    return Clock(epath.Path(path), True, hands, calendar or hands)


def test_time_goes_to_the_innermost_purpose(tmp_path: Path) -> None:
    hands = Hands()
    kept = clock(tmp_path / "c", hands)
    hands.time += 3
    kept.rest("steps")
    hands.time += 10
    with kept.to("evaluate"):
        hands.time += 5
        with kept.to("compile"):
            hands.time += 7
        hands.time += 1
    hands.time += 4
    spent = kept.seconds()
    assert {k: v for k, v in spent.items() if v} == {"other": 3, "steps": 14, "evaluate": 6, "compile": 7}
    assert kept.figures()["perf/goodput"] == pytest.approx(14 / 30)
    assert kept.figures()["perf/seconds_evaluate"] == 6


def test_waiting_for_items_is_charged_and_using_them_is_not(tmp_path: Path) -> None:
    hands = Hands()

    def slow():
        for item in "ab":
            hands.time += 2
            yield item

    kept = clock(tmp_path / "c", hands)
    batches = kept.waited("data", slow())
    for _ in kept.during("steps", range(2)):
        next(batches)
        hands.time += 3
    hands.time += 1
    assert kept.seconds()["other"] == 1
    assert kept.seconds()["data"] == 4 and kept.seconds()["steps"] == 6


def lived(path: Path, hands: Hands, ending: str | None) -> None:
    """A start of 20 s of steps, saved at step 5 after 8 s, and last heard of at step 9 after 16 s."""
    kept = clock(path, hands)
    kept.resume(0)
    kept.rest("steps")
    hands.time += 8
    with kept.saving(5):
        hands.time += 1
    hands.time += 8
    kept.alive(9)
    hands.time += 4
    if ending:
        kept.close(ending)


def test_a_killed_run_loses_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    hands = Hands()
    lived(tmp_path / "c", hands, None)
    hands.time += 100
    again = clock(tmp_path / "c", hands)
    # The 4 s after the last sign of life are nobody's but the gap's.
    assert again.seconds()["down"] == 104
    assert read_clock(epath.Path(tmp_path / "c"))["step"] == 9
    again.resume(5)
    spent = again.seconds()
    assert spent["steps"] == 8 and spent["redone"] == 8 and spent["save"] == 1
    assert sum(spent.values()) == 121, "every second is somebody's, once"
    assert read_clock(epath.Path(tmp_path / "c"))["step"] == 5


def test_from_an_older_checkpoint_more_is_lost(tmp_path: Path) -> None:
    hands = Hands()
    lived(tmp_path / "c", hands, "failed")
    again = clock(tmp_path / "c", hands)
    again.resume(0)
    assert again.seconds()["redone"] == 21 and again.seconds()["steps"] == 0


@pytest.mark.parametrize(("ending", "down"), [("finished", 0), ("interrupted", 0), ("failed", 60)])
def test_a_pause_that_somebody_wanted_is_not_lost(tmp_path: Path, ending: str, down: float) -> None:
    hands = Hands()
    lived(tmp_path / "c", hands, ending)
    hands.time += 60
    again = clock(tmp_path / "c", hands)
    assert again.seconds()["down"] == down
    again.resume(9)
    assert again.seconds()["redone"] == 0


def test_a_calendar_set_back_loses_nothing(tmp_path: Path) -> None:
    hands, calendar = Hands(), Hands()
    kept = clock(tmp_path / "c", hands, calendar)
    kept.alive(3)
    calendar.time -= 5000
    assert clock(tmp_path / "c", hands, calendar).seconds()["down"] == 0


def test_signs_of_life_are_not_written_all_the_time(tmp_path: Path) -> None:
    hands, path = Hands(), tmp_path / "c"
    kept = clock(path, hands)
    steps = []
    for step in range(1, 101):
        hands.time += 0.1
        kept.alive(step)
        steps.append(json.loads(path.read_text())["step"])
    assert steps[-1] >= 80 and len(set(steps)) <= 6
    assert clock(tmp_path / "none", hands).seconds() == dict.fromkeys(PURPOSES, 0.0)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"seconds": {}}'])
def test_a_file_that_tells_nothing_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "c").write_text(text)
    assert read_clock(epath.Path(tmp_path / "c")) == {}
    assert clock(tmp_path / "c", Hands()).seconds()["down"] == 0


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = clock(tmp_path / "file" / "c", Hands())
    kept.alive(1)
    kept.close("finished")


@given(st.lists(st.tuples(st.sampled_from(PURPOSES[:6]), st.floats(0, 1e3)), max_size=20))
def test_nothing_is_lost_or_counted_twice(spans: list[tuple[str, float]]) -> None:
    hands = Hands()
    kept = Clock(epath.Path("/nonexistent/c"), False, hands, hands)
    for purpose, seconds in spans:
        with kept.to(purpose):
            hands.time += seconds
    assert sum(kept.seconds().values()) == pytest.approx(sum(seconds for _, seconds in spans), abs=1e-6)
