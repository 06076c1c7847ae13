"""Trials that are trained together tell what runs by themselves tell, stopped in between or not."""

import dataclasses
import json
from pathlib import Path

import pytest
from etils import epath

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
from train.loop import train
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.safety import Safety
from train.schedule import WarmupCosine
from train.together import train_together
from train.trials import NotTogether


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Experiment]:
    """Three: two of one seed, and one that is shorter than they are."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    words = "the quick brown fox jumps over the lazy dog while seven wizards quietly box".split()
    path.write_text("\n".join(" ".join(words[(i * j) % len(words)] for j in range(1, 9)) for i in range(300)))
    base = Experiment(
        model=TransformerConfig(
            layers=1, embed=16, vocab=257, attention=Attention(2), feedforward=GatedMLP(24),
            precision=Precision(compute="float32"),
        ),
        data=Recipe(TextFiles(str(path)), (), TailSplit(0.1), Bytes()),
        batch=Batches(sequence=16, batch=8, packing=Windows(segments=True), longer=(2,)), safety=Safety(patience=0),
        optimizer=AdamW(eps=1e-3), schedule=WarmupCosine(peak=1e-2, warmup=2), steps=12,
        cadence=Cadence(log=2, evaluate=5, checkpoint=4, keep=1),
    )  # fmt: skip
    return [
        base,
        dataclasses.replace(base, schedule=WarmupCosine(peak=3e-2, warmup=4)),
        dataclasses.replace(base, seed=5, steps=7),
    ]


def without_times(series: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    return {key: list(map(tuple, points)) for key, points in series.items() if not key.startswith(("perf/", "clock/"))}


def test_figures_are_those_of_runs_apart(trials: list[Experiment], tmp_path: Path) -> None:
    together = train_together(trials, RunDirectory(epath.Path(tmp_path / "all")), lambda line: None)
    for i, one in enumerate(trials):
        run = RunDirectory(epath.Path(tmp_path / str(i)))
        run.data = epath.Path(tmp_path / "all" / "data")
        train(one, run, say=lambda line: None)
        alone: dict[str, list[tuple[int, float]]] = {}
        for line in run.metrics.read_text().splitlines():
            figures = json.loads(line)
            for key, value in figures.items():
                if key != "step":
                    alone.setdefault(key, []).append((figures["step"], value))
        alone, found = without_times(alone), without_times(together[i])
        assert found.keys() == alone.keys()
        for key, points in alone.items():
            assert [at for at, _ in found[key]] == [at for at, _ in points], key
            assert [value for _, value in found[key]] == pytest.approx([value for _, value in points], rel=2e-4), key


def test_a_stopped_group_goes_on(trials: list[Experiment], tmp_path: Path) -> None:
    undisturbed = train_together(trials, RunDirectory(epath.Path(tmp_path / "whole")), lambda line: None)

    def stop(line: str) -> None:
        if line.startswith("evaluate: step 10"):
            raise KeyboardInterrupt

    run = RunDirectory(epath.Path(tmp_path / "stopped"))
    with pytest.raises(KeyboardInterrupt):
        train_together(trials, run, stop)
    said: list[str] = []
    assert train_together(trials, run, said.append) == undisturbed
    # The checkpoint of step 8 was there, so that the evaluation of step 5 was not made again.
    assert [line.split(":")[1] for line in said if line.startswith("evaluate")] == [" step 10", " step 12"]


def test_what_a_group_cannot_do_is_refused(trials: list[Experiment], tmp_path: Path) -> None:
    guarded = [dataclasses.replace(one, safety=Safety()) for one in trials]
    with pytest.raises(NotTogether, match="^safety.patience is 5; in one program with other trials it is 0$"):
        train_together(guarded, RunDirectory(epath.Path(tmp_path)), lambda line: None)
