"""What studies start from, at each scale; a study changes of it what its paper asks for."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from data.curation import Clean, DeduplicateParagraphs, ExactDeduplicate, MinLength
from data.recipe import Recipe
from data.sources import PythonDocs, Tfds
from data.spec import replaced
from data.split import HashSplit
from data.targets import SpanCorruption
from data.tokenizers import Bytes, SentencePiece
from experiments.ablation.arm import NOTHING
from model.attention import Attention
from model.families.t5 import T5
from model.feedforward import MLP
from model.parametrization import Standard
from model.positions import Rope
from model.precision import Precision
from model.transformer import TransformerConfig
from sharding.placements import DataParallel
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import Adafactor, AdamW
from train.safety import Safety, Unguarded
from train.schedule import FlatInverseSquareRoot, WarmupCosine

# Nothing is left out or taken back: a run that diverges is a finding.
_AS_IT_COMES = Safety(guard=Unguarded(), patience=0)


def small_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `cpu`: a pre-normalised decoder of 2 x 64 on bytes of Python's documentation.

    Weights start as wide as their fan-in asks, 1 / sqrt(64); GPT-2's 0.02 was meant for widths of 768 and more.
    """
    return _changed(
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
            safety=_AS_IT_COMES,
            cadence=Cadence(log=20, evaluate=100, checkpoint=200, keep=1),
        ),
        changes,
    )


def medium_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `gpu`: a decoder of 8 x 384 on a part of Wikipedia, bfloat16."""
    return _changed(
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
            safety=_AS_IT_COMES,
            cadence=Cadence(log=20, evaluate=400, checkpoint=500, keep=1),
        ),
        changes,
    )


def t5_base(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `paper`, after T5 (Raffel 2020, section 3.1): base, span corruption on C4, Adafactor, 2^16 steps of 128 rows.

    No dropout and pre-training alone, as in Shazeer 2020, section 3.1, and Narang 2021.
    """
    shape = T5().preset("t5-base")
    stacks = {
        name: dataclasses.replace(getattr(shape, name), precision=Precision(), remat="full")
        for name in ("encoder", "decoder")
    }
    return _changed(
        Experiment(
            model=dataclasses.replace(shape, **stacks),
            data=Recipe(
                source=Tfds("c4/en:3.0.1", split="train"),
                transforms=(Clean(),),
                split=HashSplit(0.0005),
                tokenizer=SentencePiece(vocab=32_000),
            ),
            batch=Batches(sequence=512, batch=128, targets=SpanCorruption()),
            optimizer=Adafactor(),
            schedule=FlatInverseSquareRoot(peak=0.01, warmup=10_000),
            steps=65_536,
            placement=DataParallel(),
            safety=_AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=4096, checkpoint=2048, keep=1),
        ),
        changes,
    )


def _changed(parent: Experiment, changes: Mapping[str, Any]) -> Experiment:
    return replaced(parent, changes) if changes else parent
