"""What the files of a run tell from outside: its state, and its metrics while they are written."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

from train.clock import Clock
from train.sight import Sighted, duration, state_of

HERE = [socket.gethostname(), os.getpid()]


def run(folder: Path, steps: int = 100) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"steps": steps, "cadence": {"log": 10}}))
    return folder


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        return child.pid


@pytest.mark.parametrize(
    ("clock", "age", "state"),
    [
        ({}, None, "starting"),
        ({"state": "running", "process": HERE}, 5.0, "running"),
        ({"state": "running", "process": HERE}, 61.0, "silent"),
        ({"state": "running", "process": [HERE[0], None]}, 5.0, "dead"),
        ({"state": "running", "process": ["elsewhere", None]}, 5.0, "running"),
        ({"state": "running", "process": ["elsewhere", None]}, 61.0, "silent"),
        ({"state": "finished", "process": [HERE[0], None]}, 1e6, "finished"),
        ({"state": "interrupted"}, 5.0, "interrupted"),
        ({"state": "failed"}, 5.0, "failed"),
    ],
)
def test_states_are_told_apart(clock: dict, age: float | None, state: str) -> None:
    if "process" in clock and clock["process"][1] is None:
        clock = clock | {"process": [clock["process"][0], gone()]}
    assert state_of(clock, age, 60.0) == state


def test_metrics_are_followed_as_they_are_written(tmp_path: Path) -> None:
    sighted = Sighted(str(run(tmp_path / "r")))
    assert sighted.look().state == "starting" and sighted.look().step == 0
    metrics = tmp_path / "r" / "metrics.jsonl"
    metrics.write_text('{"step": 10, "train/loss": 3.0, "note": "x"}\n{"step": 20, "train/lo')
    assert dict(sighted.look().series) == {"train/loss": [(10, 3.0)]}
    with metrics.open("a") as file:
        file.write('ss": 2.5}\nnonsense\n[1]\n{"step": 30, "train/loss": NaN}\n')
    sight = sighted.look()
    assert sight.series["train/loss"][:2] == [(10, 3.0), (20, 2.5)] and math.isnan(sight.last("train/loss"))
    assert sight.incidents == ["train/loss was not finite 1 times, last at step 30"] and sight.step == 30
    # A new start has written the file anew, and longer than it was.
    lines = [{"step": 10, "train/loss": 3.0}, *({"step": 20 + n, "train/loss": 2.25} for n in range(50))]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    points = sighted.look().series["train/loss"]
    assert len(points) == 51 and points[1] == (20, 2.25)


def test_time_left_counts_what_steps_are_stopped_for(tmp_path: Path) -> None:
    class Hands:
        time = 0.0

        def __call__(self) -> float:
            return self.time

    hands, folder = Hands(), run(tmp_path / "r")
    clock = Clock(epath.Path(folder / "clock.json"), True, hands, lambda: 5000.0)
    clock.rest("steps")
    hands.time += 30
    with clock.to("evaluate"):
        hands.time += 15
    with clock.to("compile"):
        hands.time += 15
    clock.alive(40)
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": n, "perf/step_seconds": 1.0}) + "\n" for n in (10, 20, 40))
    )
    sight = Sighted(str(folder)).look(now=5001.0)
    assert sight.state == "running" and sight.age == 1.0
    # 60 steps of a second, and half as long again for evaluations.
    assert sight.seconds_left == pytest.approx(90) and sight.goodput == pytest.approx(0.5)
    # Five intervals of the log, at ten steps of a second each, are less than the least.
    assert Sighted(str(folder)).look(now=5059.0).state == "running"
    later = Sighted(str(folder)).look(now=5061.0)
    assert later.state == "silent" and later.incidents == ["no sign of life for 1 min"]
    clock.close("finished")
    assert Sighted(str(folder)).look().seconds_left is None


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no run: it has no config.json"):
        Sighted(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.6, "9.6 s"), (42.0, "42 s"), (720.0, "12 min"), (11_400.0, "3 h 10 min"), (187_200.0, "2 d 4 h")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
