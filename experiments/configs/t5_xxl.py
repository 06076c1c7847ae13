"""T5 1.1 XXL (Raffel 2020; the released 1.1 shape, 11B), span corruption on C4 over a v5e-256, fully sharded.

Sources of 512 tokens and targets of 115, eight a chip.

    python -m train --config=t5_xxl --run=gs://BUCKET/run --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from data.targets import SpanCorruption
from experiments.pretraining import pretraining, trained
from experiments.report import Report
from model.families.t5 import T5
from sharding.placements import FullySharded
from train.experiment import Batches, Experiment
from train.optimizers import Adafactor


def experiment() -> Experiment:
    """The experiment."""
    shape = T5().preset("flan-t5-xxl")
    stacks = {name: trained(getattr(shape, name), remat="save_products") for name in ("encoder", "decoder")}
    return pretraining(
        dataclasses.replace(shape, **stacks),
        32_000,
        Batches(sequence=512, batch=2048, targets=SpanCorruption()),
        FullySharded(),
        optimizer=Adafactor(),
        hooks=(Report(),),
    )
