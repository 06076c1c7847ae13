"""Llama 3.1 8B (Grattafiori 2024, table 3, with the rotary scaling of 3.1), pre-trained on C4, fully sharded.

At context 8,192: four rows a chip on a v6e-256, one on a v5e-256 (variant `v5e`).

    python -m train --config=llama3_1_8b --run=gs://BUCKET/run --distributed --set data.source.data_dir=gs://BUCKET/tfds
    python -m train --config=llama3_1_8b:v5e --run=gs://BUCKET/run --distributed --set data.source.data_dir=...
"""

import dataclasses

from experiments.pretraining import apart, packed, pretraining, trained
from model.families.llama import Llama
from sharding.placements import FullySharded
from train.experiment import Experiment, derive
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """For a v6e-256."""
    model = apart(trained(Llama().preset("Llama-3.1-8B"), remat="save_attention"))
    return pretraining(model, 128_000, packed(8192, 1024), FullySharded(), objective=CrossEntropy(chunk=2048))


def v5e() -> Experiment:
    """For a v5e-256, whose chips have half the memory; with one row more of each layer can be kept."""
    ours = experiment()
    model = dataclasses.replace(ours.model, remat="save_qkv_attention")
    return derive(ours, model=model, batch=packed(8192, 256))
