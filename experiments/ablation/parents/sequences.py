"""Small decoders on texts that a rule makes, at each scale."""

from collections.abc import Mapping
from typing import Any

from data.packing import Padded
from data.recipe import Recipe
from data.sources import ModularArithmetic, Repeats
from data.split import HashSplit
from data.targets import DecoderOnly, Pairs
from data.tokenizers import Bytes
from experiments.ablation.arm import NOTHING
from experiments.ablation.parents.decoders import AS_IT_COMES, changed
from model.attention import Attention
from model.config import TransformerConfig
from model.feedforward import MLP
from model.norms import LayerNorm
from model.parametrization import Standard
from model.positions import Learned, Rope
from model.precision import Precision
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import Constant, WarmupCosine


def sums(changes: Mapping[str, Any] = NOTHING, modulus: int = 97, layers: int = 2, embed: int = 128) -> Experiment:
    """A decoder that learns the table of addition modulo a number from half of it (Power 2022, appendix A.1).

    By itself of their size, with their optimizer: AdamW with a decay of 1, batches of 512 sums.
    """
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=layers, embed=embed, vocab=257, attention=Attention(heads=4, positions=Learned(5)),
                feedforward=MLP(4 * embed, "relu"), norm=LayerNorm(bias=True), tie_embeddings=False,
                parametrization=Standard(std=embed**-0.5), precision=Precision(compute="float32"),
            ),
            data=Recipe(ModularArithmetic(modulus), (), HashSplit(0.5), Bytes()),
            batch=Batches(
                sequence=5, batch=512, packing=Padded(), targets=Pairs(target=1, layout=DecoderOnly()),
            ),
            optimizer=AdamW(b2=0.98, decay=1.0, clip=0.0),
            schedule=Constant(peak=1e-3, warmup=10),
            steps=100_000,
            safety=AS_IT_COMES,
            cadence=Cadence(log=500, evaluate=500, checkpoint=5000, keep=1),
        ),
        changes,
    )  # fmt: skip


def repeats(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """A decoder of 2 x 64 that reads random stretches of letters which repeat, each with a period of its own."""
    return changed(
        Experiment(
            model=TransformerConfig(
                layers=2, embed=64, vocab=257, attention=Attention(heads=4, positions=Rope()),
                feedforward=MLP(256), parametrization=Standard(std=0.125), precision=Precision(compute="float32"),
            ),
            data=Recipe(Repeats(20_000, length=127), (), HashSplit(0.006), Bytes()),
            batch=Batches(sequence=128, batch=8, packing=Padded(), evaluation=64),
            optimizer=AdamW(decay=0.0),
            schedule=WarmupCosine(peak=3e-3, warmup=50),
            steps=1500,
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=100, checkpoint=500, keep=1),
        ),
        changes,
    )  # fmt: skip
