"""Llama 3 8B (Grattafiori 2024, table 3), pre-trained on C4 over a pod, fully sharded; for a v5p-512 (256 chips).

The shape is the paper's; data and number of steps are a start, not its 15 trillion tokens.

    python -m train --config=llama3_8b --run=gs://BUCKET/llama --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

from experiments.pretraining import apart, packed, pretraining, trained
from model.families.llama import Llama
from sharding.placements import FullySharded
from train.experiment import Experiment


def experiment() -> Experiment:
    """The experiment."""
    model = apart(trained(Llama().preset("Llama-3-8B"), remat="save_products"))
    return pretraining(model, 128_000, packed(8192, 512), FullySharded())
