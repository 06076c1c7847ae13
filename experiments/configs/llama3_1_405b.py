"""Llama 3.1 405B (Grattafiori 2024, table 3), pre-trained on C4 over 2,048 chips of v5p (8x16x16), one row a chip.

Weights and optimizer state are split over all chips.

    python -m train --config=llama3_1_405b --run=gs://BUCKET/run --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

from experiments.pretraining import apart, packed, pretraining, trained
from model.families.llama import Llama
from sharding.placements import FullySharded
from train.experiment import Experiment
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """The experiment."""
    model = apart(trained(Llama().preset("Llama-3.1-405B"), remat="save_attention"))
    objective = CrossEntropy(chunk=1024)
    return pretraining(model, 128_000, packed(8192, 2048), FullySharded(), peak=8e-5, objective=objective)
