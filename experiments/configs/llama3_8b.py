"""Llama 3 8B (Grattafiori 2024, table 3), pre-trained on C4 over a pod, fully sharded.

The shape is the paper's; data and number of steps are a start, not its 15 trillion tokens.

    python -m train --config=llama3_8b --run=gs://BUCKET/llama --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

from data.curation import Clean
from data.packing import Windows
from data.recipe import Recipe
from data.sources import Tfds
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.report import Report
from experiments.samples import Samples
from model.attention import Attention
from model.feedforward import GatedMLP
from model.kernels import Blocked
from model.masks import Causal, Segments
from model.norms import RMSNorm
from model.positions import Rope
from model.transformer import TransformerConfig
from sharding.placements import FullySharded
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def experiment() -> Experiment:
    """The experiment."""
    return Experiment(
        model=TransformerConfig(
            layers=32,
            embed=4096,
            vocab=128_256,
            attention=Attention(
                heads=32,
                kv_heads=8,
                mask=Causal() & Segments(),
                positions=Rope(theta=500_000.0),
                kernel=Blocked(512),
            ),
            feedforward=GatedMLP(hidden=14_336),
            norm=RMSNorm(eps=1e-5),
            tie_embeddings=False,
            remat="full",
        ),
        data=Recipe(
            source=Tfds("c4/en:3.0.1", split="train"),
            transforms=(Clean(),),
            split=HashSplit(0.0005),
            tokenizer=SentencePiece(vocab=128_000),
        ),
        batch=Batches(sequence=8192, batch=512, packing=Windows(segments=True)),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=3e-4, warmup=2000, floor=3e-5),
        steps=40_000,
        placement=FullySharded(),
        cadence=Cadence(log=10, evaluate=1000, checkpoint=500, keep=3),
        hooks=(Samples(), Report()),
    )
