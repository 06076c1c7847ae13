"""nanoGPT's character-level Shakespeare, on a CPU and (variant `gpu`) on one GPU."""

import dataclasses

from data.curation import Transform
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Characters
from model.attention import Attention
from model.feedforward import MLP
from model.norms import LayerNorm
from model.positions import Learned
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment, derive
from train.optimizer import AdamW
from train.schedule import WarmupCosine

AS_IT_IS: tuple[Transform, ...] = ()


def experiment() -> Experiment:
    """The CPU recipe."""
    return Experiment(
        model=TransformerConfig(
            layers=4,
            embed=128,
            vocab=65,
            attention=Attention(heads=4, positions=Learned(64)),
            feedforward=MLP(hidden=512, activation="gelu"),
            norm=LayerNorm(),
            precision=Precision(compute="float32"),
        ),
        data=Recipe(
            source=TextFiles("input.txt"),
            transforms=AS_IT_IS,
            split=TailSplit(0.1),
            tokenizer=Characters(),
        ),
        batch=Batches(sequence=64, batch=12, evaluation=96),
        optimizer=AdamW(b2=0.99),
        schedule=WarmupCosine(peak=1e-3, warmup=100, floor=1e-4),
        steps=2000,
        cadence=Cadence(log=10, evaluate=250, checkpoint=500),
        seed=1337,
    )


def gpu() -> Experiment:
    """The GPU recipe: 6 layers, 6 heads, width 384, context 256, batch 64, 5,000 steps, dropout 0.2."""
    cpu = experiment()
    model = dataclasses.replace(
        cpu.model,
        layers=6,
        embed=384,
        attention=dataclasses.replace(cpu.model.attention, heads=6, positions=Learned(256)),
        feedforward=MLP(hidden=1536, activation="gelu"),
        dropout=0.2,
        precision=Precision(),
    )
    return derive(cpu, model=model, batch=Batches(sequence=256, batch=64), steps=5000)
