"""Llama 3.1 70B (Grattafiori 2024, table 3), pre-trained on C4, fully sharded.

At context 8,192: one row a chip, on a v6e-256 and (variant `v5p`) on 512 chips of v5p, which keep more of each layer.

    python -m train --config=llama3_1_70b --run=gs://BUCKET/run --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from experiments.pretraining import apart, packed, pretraining, trained
from model.families.llama import Llama
from sharding.placements import FullySharded
from train.experiment import Experiment, derive
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """For a v6e-256."""
    model = apart(trained(Llama().preset("Llama-3.1-70B"), remat="save_attention"))
    batch, objective = packed(8192, 256), CrossEntropy(chunk=1024)
    return pretraining(model, 128_000, batch, FullySharded(), peak=1.5e-4, objective=objective)


def v5p() -> Experiment:
    """For 512 chips of v5p."""
    ours = experiment()
    model = dataclasses.replace(ours.model, remat="save_qkv_attention")
    return derive(ours, model=model, batch=packed(8192, 512))
