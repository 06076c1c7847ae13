"""Resume is exact: real processes, killed without warning, end where an undisturbed one ends, bit for bit."""

import importlib.util
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

STEPS = 60
# Minutes of real processes each, on cores that others would need.
LONG = pytest.mark.skipif("ESPALIER_LONG" not in os.environ, reason="takes minutes; ESPALIER_LONG=1 runs it")


def arrays(run: Path, step: int) -> list[tuple[str, np.ndarray]]:
    """Every array of a checkpoint, read by Orbax alone."""
    import jax

    tree = ocp.StandardCheckpointer().restore((run / "checkpoints" / str(step) / "state").resolve())
    return [(str(path), np.asarray(leaf)) for path, leaf in jax.tree.leaves_with_path(tree)]


def training_metrics(run: Path) -> list[dict]:
    """What the metrics file says of training and evaluation; how fast it went may differ."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in line.items() if not k.startswith("perf/")} for line in lines]
    return [line for line in kept if len(line) > 1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment, and a run of it that nobody disturbed."""
    directory = tmp_path_factory.mktemp("resume")
    config = processes.write_experiment(directory)
    processes.finish(processes.start(config, directory / "whole"))
    return directory


def wait_for_step(run: Path, step: int, process) -> None:
    """Waits until the metrics of a step are written, or the process ends."""
    metrics = run / "metrics.jsonl"
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if metrics.exists() and any(f'"step": {s},' in metrics.read_text() for s in range(step, STEPS + 1)):
            return
        time.sleep(0.005)


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=[pytest.mark.slow, LONG])])
def test_killed_run_ends_like_an_undisturbed_one(undisturbed: Path, count: int) -> None:
    config, run = undisturbed / "tiny.py", undisturbed / f"killed_{count}"
    chance = random.Random(time.time_ns())
    kills = sorted(chance.sample(range(2, 55), count))
    delay = chance.random() * 0.05
    for step in kills:
        process = processes.start(config, run)
        wait_for_step(run, step, process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    output = processes.finish(processes.start(config, run))
    told = f"killed after steps {kills} and {delay:.3f} s:\n{output}"

    whole = undisturbed / "whole"
    for (name, expected), (other, got) in zip(arrays(whole, STEPS), arrays(run, STEPS), strict=True):
        assert name == other
        assert expected.dtype == got.dtype and expected.tobytes() == got.tobytes(), f"{name}, {told}"
    assert training_metrics(run) == training_metrics(whole), told
    clock = json.loads((run / "clock.json").read_text())
    assert clock["state"] == "finished" and clock["starts"] > 1 and clock["seconds"]["down"] > 0, told

    batches = [line["train/batch"] for line in training_metrics(run) if "train/batch" in line]
    assert len(set(batches)) == STEPS, "each step reads a batch of its own, and says which"


def test_finished_run_does_nothing_more(undisturbed: Path) -> None:
    run = undisturbed / "whole"
    before = training_metrics(run), arrays(run, STEPS)
    output = processes.finish(processes.start(undisturbed / "tiny.py", run))
    assert f"step {STEPS} of {STEPS}" in output
    assert training_metrics(run) == before[0]
    assert all(a.tobytes() == b.tobytes() for (_, a), (_, b) in zip(before[1], arrays(run, STEPS), strict=True))


def test_interrupt_saves_and_says_so(undisturbed: Path) -> None:
    run = undisturbed / "interrupted"
    process = processes.start(undisturbed / "tiny.py", run, "--set=steps=100000", "--set=cadence.checkpoint=100000")
    wait_for_step(run, 5, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was done is saved" in output and "Traceback" not in output
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.isdigit()]


def damage(run: Path, step: int) -> None:
    """Flips one bit in the middle of the largest file of a checkpoint."""
    files = [f for f in (run / "checkpoints" / str(step)).rglob("*") if f.is_file()]
    largest = max(files, key=lambda f: f.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(bytes(content))


def test_damaged_checkpoint_falls_back_to_the_newest_good_one(undisturbed: Path) -> None:
    import shutil

    run = undisturbed / "damaged"
    shutil.copytree(undisturbed / "whole", run)
    damage(run, STEPS)
    output = processes.finish(processes.start(undisturbed / "tiny.py", run))
    assert f"checkpoints/{STEPS} cannot be used" in output
    assert "resume: step 56 of 60" in output and "Traceback" not in output
    for (name, expected), (_, got) in zip(arrays(undisturbed / "whole", STEPS), arrays(run, STEPS), strict=True):
        assert expected.tobytes() == got.tobytes(), name


def test_no_good_checkpoint_is_an_error_and_nothing_is_lost(undisturbed: Path) -> None:
    import shutil

    run = undisturbed / "hopeless"
    shutil.copytree(undisturbed / "whole", run)
    steps = sorted(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit())
    for step in steps:
        damage(run, step)
    process = processes.start(undisturbed / "tiny.py", run)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in output
    assert f"none of the {len(steps)} checkpoints" in output
    assert sorted(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit()) == steps


def test_another_model_in_the_directory_is_refused(undisturbed: Path) -> None:
    run = undisturbed / "whole"
    before = (run / "config.json").read_text()
    process = processes.start(undisturbed / "tiny.py", run, "--set=model.layers=3")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "holds a run of another experiment (model.layers: 2 -> 3)" in output
    assert (run / "config.json").read_text() == before
