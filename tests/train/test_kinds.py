"""Every kind of target trains a model of its kind: the first loss is the model's own, and falls; resuming is exact."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.packing import Windows
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.targets import (
    UL2,
    DecoderOnly,
    EncoderDecoder,
    FillInTheMiddle,
    MaskedLM,
    NextToken,
    PrefixLM,
    SpanCorruption,
    Targets,
)
from data.tokenizers import SentencePiece, sentinels
from data.training import training
from model.attention import Attention
from model.config import TransformerConfig
from model.cross_attention import CrossAttention
from model.encoder import MaskedLMConfig
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import MLP
from model.masks import Causal, Full, GivenPrefix, Segments
from model.precision import Precision
from model.spec import ModelSpec
from sharding.placements import FullySharded
from train.experiment import Batches, Cadence, Experiment
from train.loop import train
from train.objective import CrossEntropy
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.schedule import Constant
from train.state import Blueprint

pytestmark = pytest.mark.usefixtures("quickly_compiled")
WORDS = "the quick brown fox jumps over the lazy dog while seven wizards quietly box".split()
SEQUENCE = 24
SPECIAL = ("<mask>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", *sentinels(8))


def stack(mask: Any) -> TransformerConfig:
    attention = Attention(2, mask=mask)
    return TransformerConfig(1, 16, 320, attention, MLP(32), precision=Precision(compute="float32"))


DECODER, PREFIX = stack(Causal()), stack(Causal() | GivenPrefix())
MASKED = MaskedLMConfig(stack(Full()))
BOTH = EncoderDecoderConfig(stack(Full() & Segments()), stack(Causal()), CrossAttention(2))
KINDS: dict[str, tuple[ModelSpec, Targets]] = {
    "next": (DECODER, NextToken()),
    "prefix": (PREFIX, PrefixLM()),
    "middle": (DECODER, FillInTheMiddle()),
    "masked": (MASKED, MaskedLM()),
    "spans": (BOTH, SpanCorruption(layout=EncoderDecoder())),
    "spans of a decoder": (PREFIX, SpanCorruption(layout=DecoderOnly())),
}


def experiment(directory: Path, kind: str, **changes: Any) -> Experiment:
    text = directory / "text.txt"
    lines = (" ".join(WORDS[(i * j) % len(WORDS)] for j in range(1, 9)) for i in range(300))
    text.write_text("\n".join(lines))
    model, targets = KINDS[kind]
    return Experiment(**{
        "model": model,
        "data": Recipe(TextFiles(str(text)), (), TailSplit(0.1), SentencePiece(vocab=320, special=SPECIAL)),
        "batch": Batches(SEQUENCE, 8, packing=Windows(), targets=targets),
        "optimizer": AdamW(decay=0.0), "schedule": Constant(1e-2), "steps": 24,
        "cadence": Cadence(log=1, evaluate=24, checkpoint=12), "seed": 3, **changes,
    })  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in ("spans", "masked"))) for kind in KINDS]
)
def test_it_learns(tmp_path: Path, kind: str) -> None:
    chosen = experiment(tmp_path, kind)
    run = RunDirectory(tmp_path / "run")
    last = train(chosen, run, say=lambda line: None)
    lines = [line for line in run.metrics.read_text().splitlines() if "train/loss" in line]
    losses = [json.loads(line)["train/loss"] for line in lines]
    # The first loss again, from fresh weights and the first batch, token by token in float64.
    prepared = chosen.data.open(run.data)
    reading = training(
        chosen.data, prepared, chosen.batch.form, batch=8, steps=24, seed=3, log=lambda line: None
    )
    _, batch = next(iter(reading.pipeline.from_step(0)))
    batch = {key: jnp.asarray(value) for key, value in batch.items()}
    blueprint = Blueprint(chosen.model)
    model = blueprint.model(jax.jit(blueprint.weights)(jax.random.key(3)))
    logits = np.asarray(model.logits(model.hidden(batch).x), np.float64)
    log_z = np.log(np.exp(logits).sum(-1))
    nll = log_z - np.take_along_axis(logits, batch["targets"][..., None], -1)[..., 0]
    counted = np.asarray(batch["weights"], np.float64)
    assert losses[0] == pytest.approx((nll * counted).sum() / counted.sum(), rel=1e-5)
    assert np.mean(losses[-4:]) < 0.8 * losses[0] and np.isfinite(last["eval/loss"])
    assert ("eval/bits_per_byte" in last) == (kind == "next")


@pytest.mark.slow
def test_an_encoder_decoder_resumes_and_is_sharded_exactly(tmp_path: Path) -> None:
    chosen = experiment(tmp_path, "spans", steps=6, cadence=Cadence(log=1, evaluate=6, checkpoint=3))
    losses = {}
    for name, placement in (("one", chosen.placement), ("sharded", FullySharded())):
        run = RunDirectory(tmp_path / name)
        losses[name] = train(dataclasses.replace(chosen, placement=placement), run, say=lambda line: None)
    assert losses["sharded"]["eval/loss"] == pytest.approx(losses["one"]["eval/loss"], rel=1e-4)
    run = RunDirectory(tmp_path / "one")
    shutil.rmtree(run.checkpoints / "6")
    again = train(chosen, run, say=lambda line: None)
    assert again["eval/loss"] == losses["one"]["eval/loss"] and again["train/loss"] == losses["one"]["train/loss"]


@pytest.mark.parametrize(
    ("model", "targets", "words"),
    [
        (BOTH, NextToken(), "gives no 'source'"),
        (DECODER, SpanCorruption(layout=EncoderDecoder()), "for an encoder-decoder, and model is TransformerConfig"),
        (DECODER, MaskedLM(), "MaskedLM and MaskedLMConfig go with each other"),
        (MASKED, NextToken(), "MaskedLM and MaskedLMConfig go with each other"),
        (stack(Full()), NextToken(), "shows a place later tokens, its own target among them"),
        (MaskedLMConfig(stack(Causal())), MaskedLM(), "hides later tokens, which MaskedLMConfig is to see"),
        (MASKED, UL2(layout=DecoderOnly()), "MaskedLM and MaskedLMConfig go with each other"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, model: ModelSpec, targets: Targets, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        experiment(tmp_path, "next", model=model, batch=Batches(64, 8, targets=targets))


def test_the_objective_of_older_runs_is_known() -> None:
    from data.spec import build
    from train.objective import Objective

    assert build({"type": "CausalLM", "z_loss": 0.1}, Objective).z_loss == 0.1
    with pytest.raises(ValueError, match=r"objective.label_smoothing is 1.0; it is at least 0 and below 1"):
        CrossEntropy(label_smoothing=1.0)
