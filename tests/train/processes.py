"""Training as its users start it: real processes on a tiny experiment, for tests that kill and resume."""

import os
import subprocess
import sys
from pathlib import Path

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
