"""A decoder on WikiText-103, of the size that language models on it were compared at."""

from collections.abc import Mapping
from typing import Any

from data.recipe import Recipe
from data.sources import HuggingFaceDataset
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.ablation.arm import NOTHING
from experiments.ablation.parents.decoders import AS_IT_COMES, changed
from model.attention import Attention
from model.feedforward import MLP
from model.positions import Sinusoidal
from model.transformer import TransformerConfig
from sharding.placements import DataParallel
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def wikitext103_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `paper`, after Press 2021: 16 blocks of 1024, rows of 512; with pieces of words for its adaptive softmax."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=16,
                embed=1024,
                vocab=32_000,
                attention=Attention(heads=8, positions=Sinusoidal()),
                feedforward=MLP(hidden=4096),
                dropout=0.1,
                remat="full",
            ),
            data=Recipe(
                source=HuggingFaceDataset("Salesforce/wikitext", config="wikitext-103-raw-v1"),
                transforms=(),
                split=HashSplit(0.005),
                tokenizer=SentencePiece(vocab=32_000),
            ),
            batch=Batches(sequence=512, batch=128),
            optimizer=AdamW(decay=0.01),
            schedule=WarmupCosine(peak=5e-4, warmup=4000),
            steps=100_000,
            placement=DataParallel(),
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=5000, checkpoint=5000, keep=1),
        ),
        changes,
    )
