"""A run with everything that looks at it: what is seen, when, and that time and memory add up."""

import dataclasses
import json
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.activations import ActivationStatistics
from train.energy import Energy
from train.experiment import Batches, Cadence, Experiment
from train.hooks import Hook, Moment
from train.loop import train
from train.optimizers import AdamW
from train.probes.norms import LayerNorms
from train.run_directory import RunDirectory
from train.schedule import WarmupCosine

pytestmark = pytest.mark.usefixtures("quickly_compiled")
CALLS: list[tuple[str, int]] = []


@dataclasses.dataclass(frozen=True)
class Remembers(Hook):
    """Writes down when it is called."""

    def at_start(self, moment: Moment) -> None:
        CALLS.append(("start", moment.step))

    def after_evaluation(self, moment: Moment) -> dict[str, float]:
        CALLS.append(("evaluation", moment.step))
        return {"mine": float(moment.step)}

    def at_end(self, moment: Moment) -> None:
        CALLS.append(("end", moment.step))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run of six steps, and how long it took."""
    folder = tmp_path_factory.mktemp("seen")
    (folder / "text.txt").write_text("".join(f"{n} green bottles, {n * 7919 % 1013} may fall.\n" for n in range(150)))
    experiment = Experiment(
        model=TransformerConfig(2, 8, 257, Attention(2), MLP(16), precision=Precision(compute="float32")),
        data=Recipe(TextFiles(str(folder / "text.txt")), (), TailSplit(0.2), Bytes()),
        batch=Batches(sequence=16, batch=8),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=1e-2, warmup=1),
        steps=6,
        cadence=Cadence(log=1, evaluate=3, checkpoint=3),
        hooks=(LayerNorms(), ActivationStatistics(), Energy(core_watts=5.0), Remembers()),
    )
    CALLS.clear()
    began = time.perf_counter()
    train(experiment, RunDirectory(folder / "run"), say=lambda line: None)
    return folder / "run", time.perf_counter() - began


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_hooks_are_called_in_order(seen: tuple[Path, float]) -> None:
    assert CALLS == [("start", 0), ("evaluation", 3), ("evaluation", 6), ("end", 6)]
    assert [(line["step"], line["mine"]) for line in lines(seen[0]) if "mine" in line] == [(3, 3.0), (6, 6.0)]


def test_layers_are_seen_at_steps_and_at_evaluations(seen: tuple[Path, float]) -> None:
    steps = [line for line in lines(seen[0]) if "train/loss" in line]
    assert len(steps) == 6
    for line in steps:
        squares = sum(v**2 for k, v in line.items() if k.startswith("gradient_norm/"))
        assert np.sqrt(squares) == pytest.approx(line["train/grad_norm"], rel=1e-5)
        assert {f"update_share/layer_0{n}" for n in range(2)} <= line.keys()
    evaluations = [line for line in lines(seen[0]) if "eval/loss" in line]
    assert all({"stream_rms/layer_01", "attention_entropy/layer_00", "eval/position_00016/loss"} <= line.keys()
               for line in evaluations)  # fmt: skip


def test_every_second_is_somebodys(seen: tuple[Path, float]) -> None:
    run, seconds = seen
    clock = json.loads((run / "clock.json").read_text())
    spent = clock["seconds"]
    assert clock["state"] == "finished" and clock["step"] == 6
    assert sum(spent.values()) == pytest.approx(seconds, rel=0.1) and sum(spent.values()) <= seconds + 0.01
    assert all(spent[purpose] > 0 for purpose in ("steps", "data", "compile", "save", "evaluate", "other"))
    assert spent["redone"] == spent["down"] == 0
    last = {key: value for line in lines(run) for key, value in line.items()}
    assert 0 < last["perf/goodput"] < 1 and last["perf/seconds_compile"] == pytest.approx(spent["compile"], abs=1e-3)
    # Five watts a core for as long as the evaluation at the end took to come.
    assert last["perf/energy_kwh"] > 0 and last["perf/energy_measured"] in (0.0, 1.0)


def test_memory_is_told(seen: tuple[Path, float]) -> None:
    told = {key: value for line in lines(seen[0]) for key, value in line.items()}
    # 257 x 8 embedding, two blocks of 4 x 8 x 8 and 2 x 8 x 16, five norms of 8; the data lie on every device.
    weights = 257 * 8 + 2 * (4 * 64 + 2 * 128) + 5 * 8
    assert told["perf/memory_weights_bytes"] == 4 * weights
    assert told["perf/memory_batch_bytes"] == 8 * 16 * 12 / jax.device_count()
