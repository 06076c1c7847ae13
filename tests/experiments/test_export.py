"""A run's model as a published one: what is read back says the same, and what cannot be said is named."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import sentencepiece
from safetensors.numpy import load_file

from data.packing import Windows
from data.recipe import Recipe
from data.split import TailSplit
from data.tokenizers import Bytes, SentencePiece
from experiments.export import export_run, one_document
from experiments.restore import OpenRun, open_run
from model.attention import Attention
from model.families.published import FamilyError
from model.families.registry import family_named
from model.families.transfer import load
from model.feedforward import GatedMLP
from model.masks import And, Causal, Segments, SlidingWindow
from model.mixing import Interleaved
from model.positions import Rope
from model.transformer import TransformerConfig
from train.experiment import Batches, Experiment
from train.loop import train
from train.run_directory import RunDirectory
from train.start import FromPublished

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def opened(trained, tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    """A Llama of two layers, trained for two steps on packed subwords."""
    path = tmp_path_factory.mktemp("llama") / "run"
    experiment = dataclasses.replace(
        trained.experiment,
        model=TransformerConfig(
            layers=2, embed=16, vocab=300, tie_embeddings=False, precision=trained.experiment.model.precision,
            attention=Attention(4, kv_heads=2, mask=Causal() & Segments(), positions=Rope(500.0)),
            feedforward=GatedMLP(24),
        ),
        data=dataclasses.replace(trained.experiment.data, split=TailSplit(0.2), tokenizer=SentencePiece(vocab=300)),
        batch=Batches(sequence=32, batch=8, evaluation=16, packing=Windows(segments=True)),
        steps=2,
        hooks=(),
    )  # fmt: skip
    train(experiment, RunDirectory(path), command=["test"], say=lambda line: None)
    return open_run(path)


def program(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "experiments.export", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))


def test_a_run_comes_back_as_a_published_model(opened: OpenRun, tmp_path: Path) -> None:
    target = tmp_path / "published"
    result = program(f"--run={opened.run.path}", f"--to={target}")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"export: llama, step 2, in {target}\n"
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors", "tokenizer.model"]
    config, model = load(target)
    tokens = np.random.default_rng(0).integers(0, 300, (2, 20)).astype(np.int32)
    expected = np.asarray(opened.model()(jnp.asarray(tokens)))
    np.testing.assert_array_equal(model(jnp.asarray(tokens)), expected)
    assert np.abs(expected).max() > 0.01

    # The files say what a reader of theirs needs.
    values = json.loads((target / "config.json").read_text())
    assert values["architectures"] == ["LlamaForCausalLM"] and values["max_position_embeddings"] == 32
    assert values["bos_token_id"] == values["eos_token_id"] == 1 and values["torch_dtype"] == "float32"
    tensors = load_file(target / "model.safetensors")
    up = np.asarray(opened.weights["blocks"]["0"]["feedforward"]["up"])
    np.testing.assert_array_equal(tensors["model.layers.1.mlp.up_proj.weight"], up[1].T)
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(target / "tokenizer.model"))
    text = "3 green bottles hanging on the wall"
    assert tokenizer.encode(text) == opened.prepared.tokenizer.encode(text).tolist()


def test_another_family_that_can_express_it(opened: OpenRun, tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    assert export_run(opened, target, family_named("mistral")).name == "mistral"
    assert json.loads((target / "config.json").read_text())["sliding_window"] is None


def test_what_cannot_be_expressed_is_named_and_nothing_is_written(trained, tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match="^llama .*: model.feedforward is MLP; this family has GatedMLP"):
        export_run(open_run(trained.path), tmp_path / "to", family_named("llama"))
    assert not any(tmp_path.iterdir())


def test_asking_for_what_is_not_there(trained, tmp_path: Path) -> None:
    result = program(f"--run={trained.path}", f"--to={tmp_path / 'to'}", "--family=lama")
    assert result.returncode == 2
    assert result.stderr.startswith("error: --family: there is no family 'lama'; there are llama")
    result = program(f"--run={trained.path}", f"--to={trained.path}")
    assert result.returncode == 2 and "exists and is not empty" in result.stderr
    assert not any(tmp_path.iterdir())


def test_segments_are_left_out() -> None:
    masks = [
        Causal() & Segments(), Segments() & Causal(), Causal(), Causal() & SlidingWindow(3) & Segments(),
        (Segments() & Causal()) & SlidingWindow(3),
    ]  # fmt: skip
    expected = [Causal(), Causal(), Causal(), Causal() & SlidingWindow(3), Causal() & SlidingWindow(3)]
    for mask, wanted in zip(masks, expected):
        config = TransformerConfig(2, 8, 9, Interleaved((Attention(2, mask=mask), Attention(2))), GatedMLP(4))
        found = one_document(config)
        assert found.blocks[0].attention.mask == wanted and isinstance(wanted, And | Causal)
        assert found.blocks[1].attention == Attention(2)


@pytest.mark.slow
def test_what_was_exported_can_be_trained_on(opened: OpenRun, tmp_path: Path) -> None:
    export_run(opened, tmp_path / "published")
    model = dataclasses.replace(opened.experiment.model, vocab=304)
    start = FromPublished(str(tmp_path / "published"))
    experiment = dataclasses.replace(opened.experiment, model=model, steps=1, start=start)
    said: list[str] = []
    train(experiment, RunDirectory(tmp_path / "run"), say=said.append)
    assert f"start: the weights in {tmp_path / 'published'}; 4 token ids that it lacks begin afresh" in said
    # The published config knows of no segments, and of a vocabulary of its own.
    told = [line.removeprefix("start: another model than the source's: ") for line in said if "another model" in line]
    assert "vocab: 300 -> 304" in told and any("mask" in line for line in told)
    tree = ocp.StandardCheckpointer().restore((tmp_path / "run" / "checkpoints" / "0" / "state").resolve())["weights"]
    there = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(opened.weights)}
    for path, leaf in jax.tree.leaves_with_path(tree):
        own = np.asarray(there[jax.tree_util.keystr(path)])
        np.testing.assert_array_equal(np.asarray(leaf)[tuple(map(slice, own.shape))], own)
    record = json.loads((tmp_path / "run" / "start.json").read_text())
    assert record["type"] == "FromPublished" and record["fresh_ids"] == 4

    small = dataclasses.replace(experiment, model=dataclasses.replace(model, embed=32))
    with pytest.raises(ValueError, match=r"published does not fit this model: its .* has shape \(.*16.*\)"):
        train(small, RunDirectory(tmp_path / "small"), say=said.append)
    less = dataclasses.replace(experiment, model=dataclasses.replace(model, vocab=299))
    with pytest.raises(ValueError, match="it has 300 token ids; set model.vocab=300 or more"):
        train(dataclasses.replace(less, data=trained_bytes(less)), RunDirectory(tmp_path / "less"), say=said.append)


def trained_bytes(experiment: Experiment) -> Recipe:
    """The same text with few token ids."""
    return dataclasses.replace(experiment.data, tokenizer=Bytes())
