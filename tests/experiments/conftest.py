"""A run that all tests of this room look at: a byte-level model of one layer, trained for four steps."""

import dataclasses
from pathlib import Path

import pytest

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from experiments.compression import Compression
from experiments.report import Report
from experiments.samples import Samples
from model.attention import Attention
from model.feedforward import MLP
from model.positions import Learned
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.loop import train
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.schedule import WarmupCosine

HOSTILE = "<script>alert(1)</script>"
TEXT = "".join(f"{n} green bottles hanging on the wall; {n * 7919 % 1013} of them may fall.\n" for n in range(150))


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run: where it is, what was run, its last metrics, what it said, and the text held out."""

    path: Path
    experiment: Experiment
    metrics: dict[str, float]
    said: list[str]
    held_out: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "bottles.txt").write_text(TEXT)
    experiment = Experiment(
        model=TransformerConfig(
            layers=1,
            embed=16,
            vocab=257,
            attention=Attention(heads=2, positions=Learned(64)),
            feedforward=MLP(hidden=32),
            precision=Precision(compute="float32"),
        ),
        data=Recipe(TextFiles(str(folder / "bottles.txt")), (), TailSplit(0.2), Bytes()),
        batch=Batches(sequence=32, batch=8, evaluation=16),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=1e-2, warmup=1),
        steps=4,
        cadence=Cadence(log=1, evaluate=2, checkpoint=2),
        hooks=(Compression(), Samples(prompts=(HOSTILE, "One"), new_tokens=100), Report()),
    )
    said: list[str] = []
    path = folder / "bottle_run"
    command = ["python", "-m", "train", "--config=bottles"]
    # What the hooks say passes through the progress, not through `say`.
    metrics = train(experiment, RunDirectory(path), command=command, say=said.append)
    return Trained(path, experiment, metrics, said, TEXT[int(0.8 * len(TEXT)) :])
