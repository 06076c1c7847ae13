"""Mixtral 8x7B (Jiang 2024, table 1), pre-trained on C4 over a v5p-128 (64 chips), fully sharded.

The shape is the paper's; data and number of steps are a start. Experts take at most 1.25 times an even share of each
row's tokens, as in Switch, so that their products are plain ones; `Dropless()` drops none.

    python -m train --config=mixtral_8x7b --run=gs://BUCKET/mixtral --distributed \\
      --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from data.curation import Clean
from data.packing import Windows
from data.recipe import Recipe
from data.sources import Tfds
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.report import Report
from experiments.samples import Samples
from model.balance import BalanceLoss
from model.dispatch import Capacity
from model.families.mixtral import Mixtral
from model.masks import Causal, Segments
from model.precision import Precision
from model.splash import Splash
from sharding.placements import FullySharded
from train.experiment import Batches, Cadence, Experiment
from train.objective import CausalLM
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def experiment() -> Experiment:
    """The experiment."""
    published = Mixtral().preset("Mixtral-8x7B")
    return Experiment(
        model=dataclasses.replace(
            published,
            attention=dataclasses.replace(
                published.attention, mask=Causal() & Segments(), kernel=Splash(computed=True)
            ),
            feedforward=dataclasses.replace(
                published.feedforward, dispatch=Capacity(1.25), balance=BalanceLoss(0.01)
            ),
            precision=Precision(),
            remat="full",
        ),
        data=Recipe(
            source=Tfds("c4/en:3.0.1", split="train"),
            transforms=(Clean(),),
            split=HashSplit(0.0005),
            tokenizer=SentencePiece(vocab=32_000),
        ),
        batch=Batches(sequence=4096, batch=512, packing=Windows(segments=True)),
        objective=CausalLM(chunk=512),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=3e-4, warmup=2000, floor=3e-5),
        steps=40_000,
        placement=FullySharded(),
        cadence=Cadence(log=10, evaluate=1000, checkpoint=500, keep=3),
        hooks=(Samples(), Report()),
    )
