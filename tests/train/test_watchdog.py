"""The watchdog: ends what does not move, leaves alone what does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from etils import epath

from data.exits import HUNG
from train.watchdog import ALLOWANCES, Watchdog

ROOT = Path(__file__).parents[2]


def run(code: str, stacks: Path, seconds: float) -> tuple[subprocess.Popen[str], float]:
    whole = f"""
import time
from etils import epath
from train.watchdog import Watchdog
with Watchdog({seconds}, epath.Path({str(stacks)!r})) as watchdog:
    watchdog.moved("step")
    watchdog.moved("step")
    print("ready", flush=True)
{code}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", whole], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process, time.monotonic()


def test_a_hang_ends_with_its_status_and_its_stacks(tmp_path: Path) -> None:
    code = """
    def waiting_for_godot():
        time.sleep(600)
    waiting_for_godot()
"""
    process, began = run(code, tmp_path / "hang.txt", 1.0)
    _, said = process.communicate(timeout=60)
    assert process.returncode == HUNG.status and 0.9 < time.monotonic() - began < 20
    written = (tmp_path / "hang.txt").read_text()
    for text in (said, written):
        assert "hung; the step has gone on for" in text and "waiting_for_godot" in text


def test_what_moves_is_left_alone(tmp_path: Path) -> None:
    code = """
    for _ in range(20):
        time.sleep(0.1)
        watchdog.moved("step")
"""
    process, _ = run(code, tmp_path / "hang.txt", 1.0)
    assert process.wait(timeout=60) == 0 and not (tmp_path / "hang.txt").exists()


def test_time_while_the_process_was_stopped_does_not_count(tmp_path: Path) -> None:
    process, _ = run("    time.sleep(0.3)\n", tmp_path / "hang.txt", 2.0)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(4)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(timeout=60) == 0


def test_phases_have_allowances_and_slow_steps_stretch_them(tmp_path: Path) -> None:
    watchdog = Watchdog(0.01, epath.Path(tmp_path / "hang.txt"))
    assert watchdog.allowance == 0.01 * ALLOWANCES["compile"]
    watchdog.moved("step")
    time.sleep(0.05)
    watchdog.moved("step")
    assert 0.5 <= watchdog.allowance < 5
    slow = watchdog.allowance
    watchdog.moved("evaluation")
    assert watchdog.allowance == slow * ALLOWANCES["evaluation"]
    # An evaluation is no step: it does not stretch what a step may take.
    time.sleep(0.2)
    watchdog.moved("step")
    assert watchdog.allowance == slow
