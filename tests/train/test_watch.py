"""The screen that shows runs: what stands on it, and that it fits."""

import json
import math
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from train.sight import Sight
from train.watch import screen, sparkline

ROOT = Path(__file__).resolve().parents[2]


def sight(path: str, state: str = "running", step: int = 240, **clock: float) -> Sight:
    points = [(n, 8.0 - n / 60) for n in range(10, step + 1, 10)]
    series = {
        "train/loss": points,
        "perf/tokens_per_second": [(n, 2350.0) for n, _ in points],
        "perf/step_seconds": [(n, 0.25) for n, _ in points],
        "eval/loss": [(step, 4.5)],
        "eval/bits_per_byte": [(step, 2.25)],
    }
    seconds = {"steps": 60.0, "evaluate": 20.0} | clock
    return Sight(path, state, 480, series, {"seconds": seconds, "starts": 2, "state": state}, 3.0)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_one_run_is_a_panel_that_fits(width: int) -> None:
    lines = screen([sight("runs/one", down=20.0)], width).split("\n")
    assert max(map(len, lines)) <= width
    assert lines[0] == "runs/one  running"
    assert lines[1].endswith("] 240 of 480 steps, 1 min left") and lines[1].startswith("[##")
    full, empty = lines[1].count("#"), lines[1].count(".")
    assert abs(full - empty) <= 1
    text = "\n".join(lines)
    assert "loss      4.0000  █" in text and "2,350 tokens/s, 250 ms a step" in text
    assert "step 240: 4.5000, 2.2500 bits a byte" in text
    assert "goodput 60%: steps 1 min, evaluate 20 s" in text
    assert "incident  started 2 times, 20 s lost to it" in text


def test_several_runs_are_a_table() -> None:
    lines = screen([sight("runs/a/small"), sight("runs/a/large", "finished", 480)], 140).split("\n")
    assert lines[0].split() == "run state step loss held out bits/byte tokens/s left goodput".split()
    assert lines[1].split()[:8] == ["small", "running", "240", "(50%)", "4.0000", "4.5000", "2.2500", "2,350"]
    assert lines[2].split()[:5] == ["large", "finished", "480", "(100%)", "0.0000"] and " - " in lines[2]
    assert "small: started 2 times" in lines[4]
    assert "█" in lines[1]


def test_a_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert sparkline([(n, float(n)) for n in range(8)], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([(n, float(n)) for n in range(800)], 4) == "▁▃▆█"
    assert sparkline([(0, 1.0), (1, math.nan), (2, 1.0)], 9) == "▁x▁"
    assert sparkline([], 5) == "" and sparkline([(0, math.inf)], 5) == "x"


def test_the_verb_shows_a_run_and_leaves_when_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"steps": 20}')
    (tmp_path / "metrics.jsonl").write_text('{"step": 20, "train/loss": 1.5}\n')
    clock = {"state": "finished", "step": 20, "alive": 0, "seconds": {"steps": 3.0}}
    (tmp_path / "clock.json").write_text(json.dumps(clock))
    command = [sys.executable, "-m", "train.watch", str(tmp_path)]
    once = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "20 of 20 steps" in once.stdout and "\x1b" not in once.stdout and "finished" in once.stdout
    # On a terminal it draws over what it drew.
    master, slave = pty.openpty()
    live = subprocess.run(command, cwd=ROOT, stdout=slave, stderr=slave, timeout=60, check=True)
    os.close(slave)
    drawn = os.read(master, 65536).decode()
    os.close(master)
    assert live.returncode == 0 and "\x1b[H" in drawn and "20 of 20 steps" in drawn
