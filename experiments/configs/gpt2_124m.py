"""GPT-2 small (Radford 2019; 124M weights) on C4, sized as in nanoGPT's reproduction: half a million tokens a step.

Biases are left out, the vocabulary is a SentencePiece model trained on the data and padded to a
multiple of 128. For a v5e-16 or one host of GPUs, data-parallel.

    python -m train --config=gpt2_124m --run=gs://BUCKET/gpt2 --set data.source.data_dir=gs://BUCKET/tfds
"""

from data.curation import Clean
from data.recipe import Recipe
from data.sources import Tfds
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.report import Report
from experiments.samples import Samples
from model.attention import Attention
from model.feedforward import MLP
from model.norms import LayerNorm
from model.positions import Learned
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def experiment() -> Experiment:
    """The experiment."""
    return Experiment(
        model=TransformerConfig(
            layers=12,
            embed=768,
            vocab=50_304,
            attention=Attention(heads=12, positions=Learned(1024)),
            feedforward=MLP(hidden=3072, activation="gelu_tanh"),
            norm=LayerNorm(),
            remat="save_products",
        ),
        data=Recipe(
            source=Tfds("c4/en:3.0.1", split="train"),
            transforms=(Clean(),),
            split=HashSplit(0.0005),
            tokenizer=SentencePiece(vocab=50_257),
        ),
        batch=Batches(sequence=1024, batch=512, accumulate=2, evaluation=128),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=6e-4, warmup=2000, floor=6e-5),
        steps=600_000,
        cadence=Cadence(log=10, evaluate=2000, checkpoint=2000),
        hooks=(Samples(), Report()),
    )
