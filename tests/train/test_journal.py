"""When metrics of steps are written, and what time is charged to them."""

import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import jax.numpy as jnp
import pytest

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import MLP
from model.transformer import TransformerConfig
from train.clock import Clock
from train.experiment import Batches, Experiment
from train.journal import Journal
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.schedule import WarmupCosine


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    experiment = Experiment(
        model=TransformerConfig(1, 8, 257, Attention(2), MLP(8)),
        data=Recipe(TextFiles("none.txt"), (), TailSplit(0.1), Bytes()),
        batch=Batches(sequence=8, batch=2), optimizer=AdamW(), schedule=WarmupCosine(peak=0.1, warmup=1), steps=20,
    )  # fmt: skip
    run = RunDirectory(tmp_path / "run")
    with Journal(run, 0, experiment, Clock(run.clock), (), True) as made:
        yield made


def test_steps_before_an_evaluation_are_charged_what_they_took(journal: Journal) -> None:
    for step in range(1, 9):
        time.sleep(0.02)
        if step % 2 == 0:
            journal.later(step, {"train/loss": jnp.float32(step)})
            seconds = journal.at(step).get("perf/step_seconds")
            assert (seconds is None) == (step == 2) and (seconds is None or seconds > 0.018)
    journal.catch_up()
    journal.pause()
    assert journal.at(8)["perf/step_seconds"] > 0.018 and journal.at(8)["train/loss"] == 8.0


def test_what_the_device_works_on_is_not_waited_for(journal: Journal) -> None:
    working = MagicMock(spec=type(jnp.float32(0)))
    working.is_ready.return_value, working.__float__.return_value = False, 2.5
    values = {"train/loss": working}
    journal.later(2, values)
    assert journal.at(2) == {}
    journal.later(4, values)
    assert journal.at(2)["train/loss"] == 2.5 and journal.at(4) == {}
    journal.catch_up()
    assert journal.at(4)["train/loss"] == 2.5
