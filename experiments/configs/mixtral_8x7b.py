"""Mixtral 8x7B (Jiang 2024, table 1), pre-trained on C4 over a v5p-128 (64 chips), fully sharded.

The shape is the paper's; data and number of steps are a start. Experts take at most 1.25 times an even share of each
row's tokens, as in Switch, so that their products are plain ones; `Dropless()` drops none. A quarter of the rows at a
time leaves room to keep every product for the backward pass.

    python -m train --config=mixtral_8x7b --run=gs://BUCKET/mixtral --distributed \\
      --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from experiments.pretraining import apart, packed, pretraining, trained
from model.balance import BalanceLoss
from model.dispatch import Capacity
from model.families.mixtral import Mixtral
from model.splash import Splash
from sharding.placements import FullySharded
from train.experiment import Experiment
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """The experiment."""
    shape = apart(trained(Mixtral().preset("Mixtral-8x7B"), remat="save_products"))
    model = dataclasses.replace(
        shape,
        attention=dataclasses.replace(shape.attention, kernel=Splash(computed=True, fused_backward=True)),
        feedforward=dataclasses.replace(shape.feedforward, dispatch=Capacity(1.25), balance=BalanceLoss(0.01)),
    )
    batch = packed(4096, 512, accumulate=4)
    return pretraining(model, 32_000, batch, FullySharded(), objective=CrossEntropy(chunk=512))
