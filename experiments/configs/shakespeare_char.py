"""nanoGPT's character-level Shakespeare, on a CPU and (variant `gpu`) on one GPU.

The CPU recipe is nanoGPT's: 4 layers, 4 heads, width 128, context 64, batch 12, 2,000 steps, no dropout, the
65 characters as vocabulary, the first 90% of the text to train on and the last 10% to validate on. Its README
reports a validation loss of 1.88. Measured here, seed 1337, float32 on 2 CPU cores, over the whole validation
text (111,540 characters, rows of 64 without context before them), in nats a character:

    python -m train --config=shakespeare_char --run=runs/shakespeare --set data.source.path=input.txt
        1.6602   with this project's default block: RMSNorm, rotary positions, SwiGLU of as many weights
    python -m train --config=shakespeare_char:nanogpt --run=runs/nanogpt --set data.source.path=input.txt
        1.9058   with nanoGPT's own block: LayerNorm, learned positions, GELU (before the CPU kernels came in)

nanoGPT's figure is the mean of 20 random batches, so the second is not comparable to the last digit. The GPU
recipe (6 layers, 6 heads, width 384, context 256, batch 64, 5,000 steps, dropout 0.2; nanoGPT reports 1.4697)
has not been run.
"""

import dataclasses

from data.curation import Transform
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Characters
from experiments.report import Report
from experiments.samples import Samples
from model.attention import Attention
from model.feedforward import MLP, GatedMLP
from model.norms import LayerNorm
from model.positions import Learned, Rope
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment, derive
from train.optimizers import AdamW
from train.schedule import WarmupCosine

AS_IT_IS: tuple[Transform, ...] = ()


def experiment() -> Experiment:
    """The CPU recipe."""
    return Experiment(
        model=TransformerConfig(
            layers=4,
            embed=128,
            vocab=65,
            attention=Attention(heads=4, positions=Rope()),
            feedforward=GatedMLP(hidden=344),
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
        hooks=(Samples(), Report()),
        seed=1337,
    )


def nanogpt() -> Experiment:
    """The CPU recipe with nanoGPT's own block: LayerNorm without bias, learned positions, GELU."""
    ours = experiment()
    model = dataclasses.replace(
        ours.model,
        attention=dataclasses.replace(ours.model.attention, positions=Learned(64)),
        feedforward=MLP(hidden=512, activation="gelu"),
        norm=LayerNorm(),
    )
    return derive(ours, model=model)


def gpu() -> Experiment:
    """The GPU recipe: 6 layers, 6 heads, width 384, context 256, batch 64, 5,000 steps, dropout 0.2."""
    cpu = experiment()
    model = dataclasses.replace(
        cpu.model,
        layers=6,
        embed=384,
        attention=dataclasses.replace(cpu.model.attention, heads=6),
        feedforward=GatedMLP(hidden=1024),
        dropout=0.2,
        precision=Precision(),
    )
    return derive(cpu, model=model, batch=Batches(sequence=256, batch=64), steps=5000)
