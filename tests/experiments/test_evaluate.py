"""Evaluation of a run: the same figures as training's, and as NumPy's from the logits."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.console import UsageError
from data.targets import PrefixLM
from experiments import evaluate
from experiments.restore import OpenRun, open_run, placement_of
from train.evaluation import Evaluator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def opened(trained) -> OpenRun:
    return open_run(trained.path)


def reference(opened: OpenRun, text: str) -> float:
    """The sum of -log p in nats over a text and its separator, in float64 from logits, row by row."""
    separator, sequence = 256, 32
    stream = np.array([separator, *text.encode(), separator])
    forward, total = jax.jit(lambda row: opened.model()(row)), 0.0
    for start in range(0, len(stream) - 1, sequence):
        row = stream[start : start + sequence + 1]
        padded = np.zeros((1, sequence), np.int32)
        padded[0, : len(row) - 1] = row[:-1]
        logits = np.asarray(forward(jnp.asarray(padded)), np.float64)[0, : len(row) - 1]
        largest = logits.max(axis=-1)
        log_z = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=-1))
        total += (log_z - logits[np.arange(len(row) - 1), row[1:]]).sum()
    return total


def test_validation_gives_what_training_gave(trained, opened: OpenRun) -> None:
    found = evaluate.evaluate_texts(opened, [])["validation"]
    assert found["nats_per_token"] == trained.metrics["eval/loss"]
    assert found["bits_per_byte"] == trained.metrics["eval/bits_per_byte"]
    assert found["tokens"] == trained.metrics["eval/tokens"] == len(trained.held_out) + 1


def test_a_text_gives_what_numpy_gives(opened: OpenRun, tmp_path) -> None:
    text = "17 green bottles, and an é, hanging on the wäll.\n" * 7
    (tmp_path / "wall.txt").write_text(text)
    found = evaluate.evaluate_texts(opened, [str(tmp_path / "wall.txt")])[str(tmp_path / "wall.txt")]
    size = len(text.encode())
    expected = reference(opened, text)
    assert found["tokens"] == size + 1 and found["bytes"] == size
    assert found["nats_per_token"] == pytest.approx(expected / (size + 1), rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(expected / math.log(2) / size, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(expected / (size + 1)), rel=1e-4)


def test_a_batch_that_these_devices_cannot_split_gives_the_same(trained, opened: OpenRun) -> None:
    import dataclasses

    batch = dataclasses.replace(trained.experiment.batch, evaluation=3)
    uneven = dataclasses.replace(opened, experiment=dataclasses.replace(opened.experiment, batch=batch))
    found = evaluate.evaluate(uneven, opened.prepared.validation)
    assert found["nats_per_token"] == pytest.approx(trained.metrics["eval/loss"], rel=1e-6)


@pytest.mark.parametrize("placement", ["FullySharded()", "TensorParallel(fsdp=4, tensor=2)"])
def test_weights_in_shares_give_the_same(trained, opened: OpenRun, placement: str) -> None:
    shared = open_run(trained.path, placement_of(placement))
    held = shared.weights["embedding"]
    assert held.addressable_shards[0].data.size < held.size
    found, expected = (evaluate.evaluate(one, opened.prepared.validation) for one in (shared, opened))
    assert found.pop("nats_per_token") == pytest.approx(expected.pop("nats_per_token"), rel=1e-5)
    assert found["tokens"] == expected["tokens"]


def test_files_that_are_no_text_get_a_sentence(opened: OpenRun, tmp_path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for name, words in (("empty", "empty"), ("latin", "UTF-8"), ("absent", "no such file")):
        with pytest.raises(UsageError, match=words):
            evaluate.evaluate_texts(opened, [str(tmp_path / name)])


def test_the_verb_prints_json(trained) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.evaluate", f"--run={trained.path}", "--json"],
        cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["step"], told["texts"][0]["text"]) == (4, "validation")
    assert told["texts"][0]["bits_per_byte"] == trained.metrics["eval/bits_per_byte"]
    assert not done.stderr


def test_targets_that_are_not_next_tokens_have_no_bits_a_byte(opened: OpenRun, monkeypatch) -> None:
    """Even where they are as many as the tokens of the text."""
    store = opened.prepared.sources[""].validation
    monkeypatch.setattr(Evaluator, "totals", lambda self, weights, store: (2.0 * len(store), float(len(store))))
    assert evaluate.evaluate(opened, store)["bits_per_byte"] > 0
    batch = replace(opened.experiment.batch, targets=PrefixLM())
    other = replace(opened, experiment=replace(opened.experiment, batch=batch))
    found = evaluate.evaluate(other, store)
    assert math.isnan(found["bits_per_byte"]) and found["nats_per_token"] == 2


def test_infinite_numbers_are_null_in_json(opened: OpenRun) -> None:
    told = json.loads(evaluate.as_json(opened, {"x": {"perplexity": math.inf, "tokens": 3}}))
    assert told["texts"] == [{"text": "x", "perplexity": None, "tokens": 3}]
