"""Decoders as papers on optimisation and scaling trained them, for `paper`."""

from collections.abc import Mapping
from typing import Any

from data.curation import Clean
from data.recipe import Recipe
from data.sources import HuggingFaceDataset, Tfds
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.ablation.arm import NOTHING
from experiments.ablation.parents.decoders import AS_IT_COMES, changed
from model.attention import Attention
from model.feedforward import MLP, GatedMLP
from model.norms import LayerNorm
from model.positions import Learned, Rope
from model.qk_norm import PerHead
from model.transformer import TransformerConfig
from sharding.placements import FullySharded
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import Adafactor, AdamW
from train.schedule import FlatInverseSquareRoot, WarmupCosine
from train.stable_decay import LinearDecay, WarmupStableDecay


def speedrun(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """GPT-2 small as modded-nanogpt trained it in October 2024: 5,100 steps of 512 x 1024 tokens of FineWeb."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=12,
                embed=768,
                vocab=50_304,
                attention=Attention(heads=6, positions=Rope(), qk_norm=PerHead()),
                feedforward=MLP(hidden=3072, activation="relu_squared"),
                remat="full",
            ),
            data=Recipe(
                source=HuggingFaceDataset("HuggingFaceFW/fineweb", config="sample-10BT"),
                transforms=(Clean(),),
                split=HashSplit(0.001),
                tokenizer=SentencePiece(vocab=50_257),
            ),
            batch=Batches(sequence=1024, batch=512, accumulate=2),
            optimizer=AdamW(decay=0.0),
            schedule=WarmupStableDecay(peak=3.6e-3, warmup=0, decay=1450, shape=LinearDecay()),
            steps=5100,
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=500, checkpoint=500, keep=1),
        ),
        changes,
    )


def slim_llama(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """A decoder of about 210M weights on a part of SlimPajama, 0.1M tokens a step (Hägele 2024, section 3)."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=24,
                embed=768,
                vocab=50_304,
                attention=Attention(heads=12, positions=Rope()),
                feedforward=GatedMLP(hidden=2048),
                remat="full",
            ),
            data=Recipe(
                source=HuggingFaceDataset("DKYoon/SlimPajama-6B"),
                transforms=(Clean(),),
                split=HashSplit(0.001),
                tokenizer=SentencePiece(vocab=50_257),
            ),
            batch=Batches(sequence=512, batch=208),
            optimizer=AdamW(),
            schedule=WarmupCosine(peak=1e-3, warmup=300),
            steps=50_000,
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=2500, checkpoint=2500, keep=1),
        ),
        changes,
    )


def gpt2_small_c4(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """A decoder of 146M weights on C4 with dropout and weight decay of 0.1, as Muennighoff 2023 has in all runs.

    A cosine down to a tenth of the rate; 12,000 steps of 0.5M tokens are 6B, about what is optimal for twice the size.
    """
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=15,
                embed=768,
                vocab=50_304,
                attention=Attention(heads=12, positions=Learned(2048)),
                feedforward=MLP(hidden=3072),
                norm=LayerNorm(bias=True),
                dropout=0.1,
                remat="full",
            ),
            data=Recipe(
                source=Tfds("c4/en:3.0.1", split="train"),
                transforms=(Clean(),),
                split=HashSplit(0.0005),
                tokenizer=SentencePiece(vocab=50_257),
            ),
            batch=Batches(sequence=2048, batch=256, accumulate=2),
            optimizer=AdamW(),
            schedule=WarmupCosine(peak=2e-4, warmup=120, floor=2e-5),
            steps=12_000,
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=1000, checkpoint=1000, keep=1),
        ),
        changes,
    )


def wikitext2_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """A decoder of two blocks on WikiText-2, 256 wide, which Yang 2022 (figure 1) make up to 32 times wider."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=2,
                embed=256,
                vocab=8192,
                attention=Attention(heads=4, positions=Rope()),
                feedforward=MLP(hidden=1024),
                tie_embeddings=False,
            ),
            data=Recipe(
                source=HuggingFaceDataset("Salesforce/wikitext", config="wikitext-2-raw-v1"),
                transforms=(Clean(),),
                split=HashSplit(0.05),
                tokenizer=SentencePiece(vocab=8192),
            ),
            batch=Batches(sequence=256, batch=32),
            optimizer=AdamW(decay=0.0),
            schedule=WarmupCosine(peak=1e-3, warmup=50),
            steps=1000,
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=500, checkpoint=500, keep=1),
        ),
        changes,
    )


def decoder_1b5_c4(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """A decoder of 1.6B weights on C4, of the size of GPT-2's largest, as Lee 2021 (section 5) train."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=48,
                embed=1600,
                vocab=50_304,
                attention=Attention(heads=25, positions=Rope()),
                feedforward=MLP(hidden=6400),
                remat="full",
            ),
            data=Recipe(
                source=Tfds("c4/en:3.0.1", split="train[:1%]"),
                transforms=(Clean(),),
                split=HashSplit(0.0005),
                tokenizer=SentencePiece(vocab=50_257),
            ),
            batch=Batches(sequence=512, batch=512),
            optimizer=Adafactor(),
            schedule=FlatInverseSquareRoot(peak=0.01, warmup=10_000),
            steps=65_536,
            placement=FullySharded(),
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=4096, checkpoint=2048, keep=1),
        ),
        changes,
    )
