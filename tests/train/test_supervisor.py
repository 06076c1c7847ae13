"""The supervisor, over small programs that end as they are told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from etils import epath

from data import exits
from train.supervisor import Supervisor

# Ends in its n-th start as the n-th word says: a status, "kill", or "ok+STEP" after a checkpoint of that step.
PROGRAM = '''
import os, pathlib, signal, sys
run, *plan = sys.argv[1:]
starts = pathlib.Path(run, "starts")
n = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (n + 1))
word, _, step = plan[min(n, len(plan) - 1)].partition("+")
if step:
    pathlib.Path(run, "checkpoints", step).mkdir(parents=True)
if word == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(word))
'''


def supervise(run: Path, *plan: str, **options: object) -> tuple[int, list[dict], list[str]]:
    """Status, records and lines of a supervised program."""
    run.mkdir(exist_ok=True)
    (run.parent / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(run.parent / "program.py"), str(run), *plan]
    said: list[str] = []
    status = Supervisor(command, epath.Path(run), wait=0.01, say=said.append, **options)()
    record = run / "supervisor.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    return status, lines, said


def test_restarts_after_a_kill_a_hang_and_a_lost_peer(tmp_path: Path) -> None:
    status, lines, said = supervise(tmp_path / "run", "kill+5", "76", "77", "0+9")
    assert status == 0
    assert [line["status"] for line in lines] == [137, 76, 77, 0]
    assert [(line["saved_before"], line["saved_after"]) for line in lines] == [(0, 5), (5, 5), (5, 5), (5, 9)]
    assert "killed (ended by signal 9); saved up to step 5; starting again" in said[0]


@pytest.mark.parametrize("status", [0, 1, 2, 75, 130])
def test_what_would_come_again_is_left_alone(tmp_path: Path, status: int) -> None:
    got, lines, said = supervise(tmp_path / "run", str(status))
    assert got == status and len((tmp_path / "run" / "starts").read_text()) == 1
    assert len(lines) == (0 if status == exits.USAGE.status else 1)
    assert status == exits.PREEMPTED.status or not said


def test_preempted_is_started_again_where_asked_for(tmp_path: Path) -> None:
    assert supervise(tmp_path / "run", "75", "0", preempted=True)[0] == 0


def test_gives_up_without_progress_but_never_with_it(tmp_path: Path) -> None:
    status, lines, said = supervise(tmp_path / "run", "76+1", "76", "76+2", "76", "76", "76", restarts=2)
    # Two in a row without a newer checkpoint are forgiven; the count begins anew with each.
    assert status == exits.HUNG.status and len(lines) == 6
    assert "giving up after 3 attempts in a row" in said[-1]
    waits = [line["wait"] for line in lines]
    assert waits == [0.01, 0.01, 0.01, 0.01, 0.02, None]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_signals_are_passed_on_once(tmp_path: Path, number: int, status: int) -> None:
    child = f"""
import signal, sys, time
heard = []
signal.signal({int(number)}, lambda *_: heard.append(1))
print("ready", flush=True)
while not heard:
    time.sleep(0.01)
time.sleep(0.3)
sys.exit({status} if len(heard) == 1 else 9)
"""
    supervisor = f"""
import sys
from etils import epath
from train.supervisor import Supervisor
sys.exit(Supervisor([sys.executable, "-c", {child!r}], epath.Path({str(tmp_path)!r}), preempted=True)())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", supervisor], stdout=subprocess.PIPE, text=True, start_new_session=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    # As a terminal would: to every process of the group.
    os.killpg(process.pid, number)
    assert process.wait(timeout=30) == status
    assert len((tmp_path / "supervisor.jsonl").read_text().splitlines()) == 1


def test_signal_between_two_attempts_ends_it(tmp_path: Path) -> None:
    code = f"""
import sys
from etils import epath
from train.supervisor import Supervisor
sys.exit(Supervisor([sys.executable, "-c", "raise SystemExit(76)"], epath.Path({str(tmp_path)!r}), wait=60)())
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    until = time.monotonic() + 30
    while not (tmp_path / "supervisor.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=10) == exits.PREEMPTED.status
