"""Training as its users start it: real processes on a tiny experiment, for tests that kill and resume."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# A model so small that a step takes milliseconds.
TINY = '''
import pathlib
from data.curation import Clean
from data.packing import Windows
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import GatedMLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine

HERE = pathlib.Path(__file__).parent

def experiment() -> Experiment:
    return Experiment(
        model=TransformerConfig(
            layers=2, embed=16, vocab=257, attention=Attention(heads=2), feedforward=GatedMLP(hidden=32),
            precision=Precision(compute="float32"), dropout=0.1),
        data=Recipe(source=TextFiles(str(HERE / "text.txt")), transforms=(Clean(),), split=TailSplit(0.1),
                    tokenizer=Bytes()),
        batch=Batches(sequence=16, batch=8, packing=Windows(segments=True)),
        optimizer=AdamW(), schedule=WarmupCosine(peak=1e-2, warmup=5), steps=60,
        cadence=Cadence(log=1, evaluate=30, checkpoint=7, keep=2), seed=3)
'''


def write_experiment(directory: Path) -> Path:
    """The tiny experiment and its text, in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    words = "the quick brown fox jumps over the lazy dog while seven wizards quietly box".split()
    lines = (" ".join(words[(i * j) % len(words)] for j in range(1, 9)) for i in range(600))
    (directory / "text.txt").write_text("\n".join(lines))
    (directory / "tiny.py").write_text(TINY)
    return directory / "tiny.py"


def start(config: Path, run: Path, *more: str, devices: int = 1) -> subprocess.Popen[str]:
    """Starts `python -m train` and returns at once."""
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONUNBUFFERED": "1",
        # A program that runs for a second is compiled for ten otherwise.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    command = [sys.executable, "-m", "train", f"--config={config}", f"--run={run}", *more]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str], seconds: float = 180) -> str:
    """Waits for a process to end well, and returns what it printed."""
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return output


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start_job(
    config: Path, run: Path, *more: str, processes: int, devices: int = 1, last: Sequence[str] = ()
) -> list[subprocess.Popen[str]]:
    """Starts the processes of a job on this machine; the last of them with flags of its own."""
    job = [*more, f"--coordinator=localhost:{free_port()}", f"--processes={processes}"]
    own = [[]] * (processes - 1) + [list(last)]
    return [start(config, run, *job, f"--process={i}", *own[i], devices=devices) for i in range(processes)]


def wait_for(run: Path, step: int, process: subprocess.Popen[str], seconds: float = 180) -> None:
    """Waits until the metrics of a step or a later one are written."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if any(line["step"] >= step for line in metrics(run)):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    raise AssertionError(f"no metrics of step {step} after {seconds} s")


def metrics(run: Path) -> list[dict[str, Any]]:
    """The metrics of training and evaluation as far as they are written; how fast it went may differ."""
    path, lines = run / "metrics.jsonl", []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            kept = {key: value for key, value in json.loads(line).items() if not key.startswith("perf/")}
        except ValueError:  # being written
            continue
        lines += [kept] if len(kept) > 1 else []
    return lines


def arrays(run: Path, step: int) -> dict[str, tuple[str, bytes]]:
    """Every array of a checkpoint, as type and bytes, read by Orbax alone."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    path = (run / "checkpoints" / str(step) / "state").resolve()
    reader = ocp.PyTreeCheckpointer()
    # As NumPy's arrays, since the devices that saved them may be of other processes.
    whole = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), reader.metadata(path).item_metadata.tree)
    tree = reader.restore(path, restore_args=whole)
    read = [(str(path), np.asarray(leaf)) for path, leaf in jax.tree.leaves_with_path(tree)]
    return {path: (str(array.dtype), array.tobytes()) for path, array in read}


def saved(run: Path) -> list[int]:
    """Steps of the whole checkpoints of a run."""
    folder = run / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.exists() else []
