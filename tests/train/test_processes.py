"""The same program on one device, on several, and in several processes: same batches, same losses."""

import importlib.util
import json
import socket
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

SHORT = ("--set=steps=8", "--set=cadence.evaluate=8", "--set=model.dropout=0")


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def series(run: Path, key: str) -> list[float]:
    return [line[key] for line in metrics(run) if key in line]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process on one device."""
    directory = tmp_path_factory.mktemp("processes")
    config = processes.write_experiment(directory)
    processes.finish(processes.start(config, directory / "alone", *SHORT))
    return directory


def test_two_processes_of_two_devices_train_as_one_device(alone: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    run = alone / "together"
    job = [f"--coordinator=localhost:{port}", "--processes=2", "--set=placement=FullySharded(data=2, fsdp=2)"]
    pair = [
        processes.start(alone / "tiny.py", run, *SHORT, *job, f"--process={index}", devices=2) for index in (0, 1)
    ]
    for process in pair:
        processes.finish(process)
    assert series(run, "train/batch") == series(alone / "alone", "train/batch")
    for key in ("train/loss", "train/grad_norm", "eval/loss"):
        assert series(run, key) == pytest.approx(series(alone / "alone", key), rel=1e-5), key
    # What two processes saved, one process on one device goes on from.
    output = processes.finish(processes.start(alone / "tiny.py", run, *SHORT))
    assert "resume: step 8 of 8" in output


def test_second_writer_is_refused(alone: Path) -> None:
    run = alone / "alone"
    import fcntl

    with open(run / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = processes.start(alone / "tiny.py", run, *SHORT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "another process is writing to" in output and "Traceback" not in output
