"""Llama 3.1 8B with a context of 1,048,576 tokens, for 512 chips of v5p (8x8x8): 64 of them share a row.

    python -m train --config=llama3_1_8b_1m --run=gs://BUCKET/run --distributed \\
      --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from experiments.pretraining import apart, packed, pretraining, trained
from model.families.llama import Llama
from model.ring import Ring
from model.rope_scaling import Llama3Scaling
from model.splash import Splash
from sharding.placements import Combined
from train.experiment import Experiment
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """The experiment."""
    shape = apart(trained(Llama().preset("Llama-3.1-8B"), remat="save_attention"))
    attention = dataclasses.replace(
        shape.attention,
        positions=dataclasses.replace(shape.attention.positions, scaling=Llama3Scaling(factor=128.0)),
        kernel=Ring(within=Splash(computed=True, fused_backward=True)),
    )
    model = dataclasses.replace(shape, attention=attention)
    placement, objective = Combined(context=64, fsdp=8), CrossEntropy(chunk=65_536)
    return pretraining(model, 128_000, packed(1 << 20, 8), placement, objective=objective)
