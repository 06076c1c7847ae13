"""Decoders that studies start from, on a CPU and on one card."""

from collections.abc import Mapping
from typing import Any

from data.curation import Clean, DeduplicateParagraphs, ExactDeduplicate, MinLength
from data.recipe import Recipe
from data.sources import PythonDocs, Tfds
from data.spec import replaced
from data.split import HashSplit
from data.tokenizers import Bytes, SentencePiece
from experiments.ablation.arm import NOTHING
from model.attention import Attention
from model.feedforward import MLP
from model.parametrization import Standard
from model.positions import Rope
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.safety import Safety, Unguarded
from train.schedule import WarmupCosine

# Nothing is left out or taken back: a run that diverges is a finding.
AS_IT_COMES = Safety(guard=Unguarded(), patience=0)


def small_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `cpu`: a pre-normalised decoder of 2 x 64 on bytes of Python's documentation.

    Weights start as wide as their fan-in asks, 1 / sqrt(64); GPT-2's 0.02 was meant for widths of 768 and more.
    """
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=2,
                embed=64,
                vocab=257,
                attention=Attention(heads=4, positions=Rope()),
                feedforward=MLP(hidden=256),
                parametrization=Standard(std=0.125),
                precision=Precision(compute="float32"),
            ),
            data=Recipe(
                source=PythonDocs(),
                transforms=(Clean(), MinLength(40), ExactDeduplicate(), DeduplicateParagraphs()),
                split=HashSplit(0.02),
                tokenizer=Bytes(),
            ),
            batch=Batches(sequence=128, batch=8, evaluation=64),
            optimizer=AdamW(decay=0.0),
            schedule=WarmupCosine(peak=3e-3, warmup=40),
            steps=400,
            safety=AS_IT_COMES,
            cadence=Cadence(log=20, evaluate=100, checkpoint=200, keep=1),
        ),
        changes,
    )


def medium_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `gpu`: a decoder of 8 x 384 on a part of Wikipedia, bfloat16."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=8,
                embed=384,
                vocab=8192,
                attention=Attention(heads=6, positions=Rope()),
                feedforward=MLP(hidden=1536),
                parametrization=Standard(std=0.05),
            ),
            data=Recipe(
                source=Tfds("wiki40b/en", split="train[:10%]"),
                transforms=(Clean(),),
                split=HashSplit(0.005),
                tokenizer=SentencePiece(vocab=8192),
            ),
            batch=Batches(sequence=512, batch=64),
            optimizer=AdamW(),
            schedule=WarmupCosine(peak=1e-3, warmup=100),
            steps=2000,
            safety=AS_IT_COMES,
            cadence=Cadence(log=20, evaluate=400, checkpoint=500, keep=1),
        ),
        changes,
    )


def changed(parent: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """The parent with new values by dotted key."""
    return replaced(parent, changes) if changes else parent
