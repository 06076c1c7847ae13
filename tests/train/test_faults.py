"""Faults, each done to a real process: afterwards the run ends like one that nobody disturbed, bit for bit.

Kills at random moments and flipped bits are in test_resume.py.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

# Minutes of real processes in all; tests/train/test_resume.py kills and damages in the default suite.
pytestmark = pytest.mark.slow
STEPS = 60
# Coarser than a step, so that a stop between two lines of the metrics would show if it left one.
LOG = "--set=cadence.log=4"

# Loaded with --import: in its n-th start, the process meets the n-th fault of the plan, if there is one.
FAULTS = '''
import os, pathlib, signal, time
from train.vigil import Vigil

PLAN = {plan!r}
starts = pathlib.Path(__file__).with_suffix(".starts")
number = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (number + 1))
ask, calls = Vigil.step, 0

def the_place_where_it_hangs():
    time.sleep(1000)

def step(self):
    global calls
    calls += 1
    if number < len(PLAN) and calls == PLAN[number][0]:
        fault = PLAN[number][1]
        if fault == "hang":
            the_place_where_it_hangs()
        os.kill(os.getpid(), fault)
    return ask(self)

Vigil.step = step
'''

JUMPS = '''
import random, time
real, lived, chance = time.time, time.monotonic, random.Random(5)
jumps = [chance.uniform(-3e8, 3e8) for _ in range(1000)]
# Set years forward or back twice a second.
time.time = lambda: real() + jumps[int(lived() * 2) % 1000]
time.time_ns = lambda: int(time.time() * 1e9)
'''


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed; the experiment lies beside it."""
    directory = tmp_path_factory.mktemp("faults")
    config = processes.write_experiment(directory)
    processes.finish(processes.start(config, directory / "whole", LOG))
    return directory / "whole"


def plan(directory: Path, faults: list[tuple[int, int | str]]) -> str:
    """Flag that makes a run meet faults, each after a number of steps of that start."""
    path = directory / "plan.py"
    path.write_text(FAULTS.format(plan=[(steps, fault if fault == "hang" else int(fault)) for steps, fault in faults]))
    return f"--import={path}"


def start(whole: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    return processes.start(whole.parent / "tiny.py", run, LOG, *more)


def ended(process: subprocess.Popen[str], status: int) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == status, output
    return output


def check_same(whole: Path, run: Path) -> None:
    assert processes.arrays(run, STEPS) == processes.arrays(whole, STEPS)
    assert processes.metrics(run) == processes.metrics(whole)


def test_supervised_run_survives_a_kill_a_hang_and_a_preemption(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    faults = plan(tmp_path, [(10, signal.SIGKILL), (10, "hang"), (13, signal.SIGTERM)])
    output = ended(start(whole, run, faults, "--supervise", "--restart_preempted", "--hang_timeout=5"), 0)
    lines = [json.loads(line) for line in (run / "supervisor.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == [137, 76, 75, 0]
    killed, hung, preempted, done = (line["saved_after"] for line in lines)
    # A save takes a moment, and the kill may come before it is whole; what SIGTERM saves is the step it came at.
    assert killed in (0, 7) and hung in (7, 14) and preempted == hung + 13 and done == STEPS
    assert output.count("supervisor: attempt") == 4
    stacks = (run / "hang-0.txt").read_text()
    assert "the step has gone on for" in stacks and "the_place_where_it_hangs" in stacks
    assert "preempted; SIGTERM: what was done is saved" in output
    check_same(whole, run)


# An evaluation is due at 30; nothing is at 33.
@pytest.mark.parametrize("step", [30, 33])
def test_sigterm_saves_that_very_step_and_leaves_no_trace(whole: Path, tmp_path: Path, step: int) -> None:
    run = tmp_path / "run"
    faults = plan(tmp_path, [(step, signal.SIGTERM)])
    output = ended(start(whole, run, faults), 75)
    assert "preempted; SIGTERM: what was done is saved; the same command goes on from there" in output
    assert "Traceback" not in output and processes.saved(run)[-1] == step
    assert f"resume: step {step} of {STEPS}" in ended(start(whole, run, faults), 0)
    check_same(whole, run)


def test_killed_in_the_middle_of_a_save(whole: Path, tmp_path: Path) -> None:
    run, half = tmp_path / "run", []
    for _ in range(8):
        shutil.rmtree(run, ignore_errors=True)
        process = start(whole, run)
        while process.poll() is None and not list(run.glob("checkpoints/*tmp*")):
            time.sleep(0.0005)
        process.kill()
        process.communicate()
        if half := list(run.glob("checkpoints/*tmp*")):
            break
    assert half, "no kill met a save"
    ended(start(whole, run), 0)
    assert not list(run.glob("checkpoints/*tmp*")), "what was half written is cleared away"
    check_same(whole, run)


def test_truncated_checkpoint_is_passed_over(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    files = [file for file in (run / "checkpoints" / str(STEPS)).rglob("*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    output = ended(start(whole, run), 0)
    assert f"checkpoints/{STEPS} cannot be used" in output and "resume: step 56 of 60" in output
    check_same(whole, run)


def test_clock_may_jump(whole: Path, tmp_path: Path) -> None:
    jumps = tmp_path / "jumps.py"
    jumps.write_text(JUMPS)
    faults = plan(tmp_path, [(25, signal.SIGKILL)])
    run, flags = tmp_path / "run", [f"--import={jumps}", faults, "--hang_timeout=60"]
    ended(start(whole, run, *flags), -signal.SIGKILL)
    ended(start(whole, run, *flags), 0)
    check_same(whole, run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount the small disk that is to be filled")
def test_full_disk_ends_the_run_and_loses_nothing(whole: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        run = disk / "run"
        process = start(whole, run, "--set=cadence.log=1")
        processes.wait_for(run, 20, process)
        with open(disk / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass
        output = ended(process, 1)
        last = output.strip().splitlines()[-1]
        assert last.startswith("error: no space left on device") and "Traceback" not in output, output
        assert processes.saved(run)
        (disk / "ballast").unlink()
        assert "resume: step" in ended(start(whole, run, "--set=cadence.log=1"), 0)
        assert processes.arrays(run, STEPS) == processes.arrays(whole, STEPS)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
