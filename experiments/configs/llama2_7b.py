"""Llama 2 7B (Touvron 2023, table 1) at context 2,048, pre-trained on C4 over a v5e-256, fully sharded.

Four rows a chip, two million tokens a step; half of them at a time, of which every product is kept for the backward
pass. Variant `small` has all rows at a time and computes most of a layer again: half the memory, 6% slower.

    python -m train --config=llama2_7b --run=gs://BUCKET/llama --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from experiments.pretraining import pretraining, trained
from model.families.llama import Llama
from sharding.placements import FullySharded
from train.experiment import Batches, Experiment, derive


def experiment() -> Experiment:
    """The experiment."""
    model = trained(Llama().preset("Llama-2-7b"), remat="save_products")
    return pretraining(model, 32_000, Batches(sequence=2048, batch=1024, accumulate=2), FullySharded())


def small() -> Experiment:
    """The same, in less memory."""
    ours = experiment()
    model = dataclasses.replace(ours.model, remat="save_attention")
    return derive(ours, model=model, batch=dataclasses.replace(ours.batch, accumulate=1))
