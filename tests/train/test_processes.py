"""The same program on one device, on several, and in several processes: same batches, same losses."""

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

# Minutes of real processes each, on cores that others would need.
LONG = pytest.mark.skipif("ESPALIER_LONG" not in os.environ, reason="takes minutes; ESPALIER_LONG=1 runs it")
STEPS = 40
SHORT = (f"--set=steps={STEPS}", f"--set=cadence.evaluate={STEPS}", "--set=model.dropout=0")
PAIR = ("--set=placement=FullySharded(data=2, fsdp=2)",)

# Loaded with --import by one process of a job: asks it to stop at a step, and makes steps slow enough for the others
# to hear of it before they are done.
ASKED = """
import os, signal, time
from train.vigil import Vigil

step, calls = Vigil.step, 0

def paced(self):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    return step(self)

Vigil.step = paced
"""


def series(run: Path, key: str) -> list[float]:
    return [line[key] for line in processes.metrics(run) if key in line]


def check_same_losses(run: Path, alone: Path) -> None:
    assert series(run, "train/batch") == series(alone, "train/batch")
    assert len(series(run, "train/loss")) == STEPS
    for key in ("train/loss", "train/grad_norm", "eval/loss"):
        assert series(run, key) == pytest.approx(series(alone, key), rel=1e-5), key


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process on one device; the experiment lies beside it."""
    directory = tmp_path_factory.mktemp("processes")
    config = processes.write_experiment(directory)
    processes.finish(processes.start(config, directory / "alone", *SHORT))
    return directory / "alone"


@pytest.fixture(scope="module")
def pair(alone: Path) -> Path:
    """A run in two processes of two devices each, fully sharded."""
    run = alone.parent / "pair"
    for process in processes.start_job(alone.parent / "tiny.py", run, *SHORT, *PAIR, processes=2, devices=2):
        processes.finish(process, 300)
    return run


@pytest.mark.slow
def test_two_processes_of_two_devices_train_as_one_device(alone: Path, pair: Path) -> None:
    check_same_losses(pair, alone)
    # What two processes saved, one process on one device goes on from.
    output = processes.finish(processes.start(alone.parent / "tiny.py", pair, *SHORT))
    assert f"resume: step {STEPS} of {STEPS}" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    "placement", ["FullySharded()", "Combined(data=2, fsdp=2, tensor=2)", "ShardedOptimizer(data=2, fsdp=4)"]
)
def test_two_processes_of_four_devices_train_as_one_device(alone: Path, tmp_path: Path, placement: str) -> None:
    """Gathers, sums and exchanges both within a process and between the two, which Gloo carries."""
    flags = [*SHORT, f"--set=placement={placement}"]
    for process in processes.start_job(alone.parent / "tiny.py", tmp_path / "run", *flags, processes=2, devices=4):
        processes.finish(process, 600)
    check_same_losses(tmp_path / "run", alone)


@pytest.mark.slow
@LONG
@pytest.mark.parametrize("placement", ["DataParallel()", "FullySharded(fsdp=4)"])
def test_four_processes_train_as_one(alone: Path, tmp_path: Path, placement: str) -> None:
    flags = [*SHORT, f"--set=placement={placement}"]
    for process in processes.start_job(alone.parent / "tiny.py", tmp_path / "run", *flags, processes=4):
        processes.finish(process, 400)
    check_same_losses(tmp_path / "run", alone)
    # Each has one device, which is not simulated; they begin collectives in one order all the same.
    found = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert found["xla_flags"].endswith("--xla_cpu_enable_concurrency_optimized_scheduler=false")


@pytest.mark.slow
@LONG
@pytest.mark.parametrize("numbers", [(2, 1), (4, 2, 1)])
def test_another_number_of_processes_goes_on(alone: Path, tmp_path: Path, numbers: tuple[int, ...]) -> None:
    config, run, asked = alone.parent / "tiny.py", tmp_path / "run", tmp_path / "asked.py"
    asked.write_text(ASKED)
    before = 0
    for number in numbers[:-1]:
        flags = [*SHORT, "--set=cadence.checkpoint=1000", "--set=placement=FullySharded()"]
        # The last of the processes is asked, and all stop after the same step.
        job = processes.start_job(config, run, *flags, processes=number, last=[f"--import={asked}"])
        for process in job:
            output, _ = process.communicate(timeout=400)
            assert process.returncode == 75, output
            assert "preempted; SIGTERM: what was done is saved" in output
        reached = processes.saved(run)[-1]
        assert before + 3 <= reached < STEPS
        before = reached
    assert f"resume: step {before} of {STEPS}" in processes.finish(processes.start(config, run, *SHORT))
    check_same_losses(run, alone)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=LONG)])
def test_one_of_two_dies_and_the_other_ends_too(pair: Path, tmp_path: Path, victim: int) -> None:
    config, run = pair.parent / "tiny.py", tmp_path / "run"
    job = processes.start_job(config, run, *SHORT, *PAIR, "--peer_timeout=10", processes=2, devices=2)
    processes.wait_for(run, 12, job[0])
    job[victim].kill()
    # One device may hear of the broken connection while the other waits: then the heartbeat decides.
    output, _ = job[1 - victim].communicate(timeout=60)
    assert job[1 - victim].returncode == 77, output
    assert "peer lost; " in output
    job[victim].communicate()
    for process in processes.start_job(config, run, *SHORT, *PAIR, processes=2, devices=2):
        processes.finish(process, 300)
    assert processes.arrays(run, STEPS) == processes.arrays(pair, STEPS)
    assert processes.metrics(run) == processes.metrics(pair)


@pytest.mark.slow
@LONG
def test_one_of_two_is_stopped_and_the_other_does_not_wait_forever(pair: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = [*SHORT, *PAIR, "--set=steps=4000", "--peer_timeout=1000", "--hang_timeout=5"]
    job = processes.start_job(pair.parent / "tiny.py", run, *flags, processes=2, devices=2)
    processes.wait_for(run, 12, job[0])
    job[1].send_signal(signal.SIGSTOP)
    output, _ = job[0].communicate(timeout=120)
    job[1].kill()
    job[1].communicate()
    assert job[0].returncode == 76, output
    assert "hung; the" in output and (run / "hang-0.txt").exists()


def test_second_writer_is_refused(alone: Path) -> None:
    import fcntl

    with open(alone / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = processes.start(alone.parent / "tiny.py", alone, *SHORT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "another process is writing to" in output and "Traceback" not in output
