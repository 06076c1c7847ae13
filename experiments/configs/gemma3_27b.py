"""Gemma 3 27B (Gemma Team 2025, table 1), text alone, pre-trained on C4 over a v6e-256, fully sharded.

Five blocks with a window of 1,024 tokens to one without; context 8,192, two rows a chip.

    python -m train --config=gemma3_27b --run=gs://BUCKET/run --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

from experiments.pretraining import pretraining, trained
from model.families.gemma3 import Gemma3
from sharding.placements import FullySharded
from train.experiment import Batches, Experiment
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """The experiment."""
    model = trained(Gemma3().preset("gemma-3-27b"), remat="full")
    batch, objective = Batches(sequence=8192, batch=512), CrossEntropy(chunk=512)
    return pretraining(model, 256_000, batch, FullySharded(), peak=2e-4, objective=objective)
