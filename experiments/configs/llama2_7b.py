"""Llama 2 7B (Touvron 2023, table 1) at context 2,048, pre-trained on C4 over a v5e-256, fully sharded.

Four rows a chip, two million tokens a step. Variant `small` keeps less of each layer for the backward pass and computes
it again: half the memory, 4% slower.

    python -m train --config=llama2_7b --run=gs://BUCKET/llama --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from experiments.pretraining import pretraining, trained
from model.families.llama import Llama
from sharding.placements import FullySharded
from train.experiment import Batches, Experiment, derive


def experiment() -> Experiment:
    """The experiment."""
    model = trained(Llama().preset("Llama-2-7b"), remat="save_qkv_attention")
    return pretraining(model, 32_000, Batches(sequence=2048, batch=1024), FullySharded())


def small() -> Experiment:
    """The same, in less memory."""
    ours = experiment()
    return derive(ours, model=dataclasses.replace(ours.model, remat="save_attention"))
