"""Decoders on C4, which studies of published decoders start from."""

from collections.abc import Mapping
from typing import Any

from data.curation import Clean
from data.recipe import Recipe
from data.sources import Tfds
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.ablation.arm import NOTHING
from experiments.ablation.parents.decoders import AS_IT_COMES, changed
from model.attention import Attention
from model.feedforward import MLP
from model.positions import Rope
from model.transformer import TransformerConfig
from sharding.placements import DataParallel
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def c4_decoder(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `paper`, after Wortsman 2023: 1.9e7 weights in blocks, 10^5 steps of 256 rows of 512 tokens, AdamW.

    Six blocks of 512 have that many weights. There is no weight decay; theirs does not go by the learning rate.
    """
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=6,
                embed=512,
                vocab=32_000,
                attention=Attention(heads=8, positions=Rope()),
                feedforward=MLP(hidden=2048),
                tie_embeddings=False,
            ),
            data=Recipe(
                source=Tfds("c4/en:3.0.1", split="train"),
                transforms=(Clean(),),
                split=HashSplit(0.0005),
                tokenizer=SentencePiece(vocab=32_000),
            ),
            batch=Batches(sequence=512, batch=256),
            optimizer=AdamW(decay=0.0),
            schedule=WarmupCosine(peak=3e-3, warmup=5000, floor=1e-5),
            steps=100_000,
            placement=DataParallel(),
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=5000, checkpoint=5000, keep=1),
        ),
        changes,
    )
