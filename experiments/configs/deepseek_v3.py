"""DeepSeek-V3 (2024, section 4.2): 671B weights, 37B a token, pre-trained on C4 over a v5p-1024 (512 chips of 8x8x8).

    python -m train --config=deepseek_v3 --run=gs://BUCKET/deepseek --distributed \\
      --set data.source.data_dir=gs://BUCKET/tfds
"""

import dataclasses

from experiments.pretraining import apart, packed, pretraining, trained
from model.balance import BalanceBias
from model.config import TransformerConfig
from model.dropless import Dropless
from model.families.deepseek import DeepSeekV3
from model.positions import Rope
from model.splash import Splash
from sharding.placements import ShardedOptimizer
from train.experiment import Experiment
from train.objective import CrossEntropy


def experiment() -> Experiment:
    """The experiment."""
    placement = ShardedOptimizer(data=1, fsdp=8, expert=64)
    objective = CrossEntropy(chunk=512)
    return pretraining(_shape(), 129_000, packed(4096, 1024), placement, peak=2.2e-4, objective=objective)


def _shape() -> TransformerConfig:
    shape = apart(trained(DeepSeekV3().preset("DeepSeek-V3"), remat="save_attention"))
    moe = dataclasses.replace(shape.feedforward.rest, dispatch=Dropless(1.25), balance=BalanceBias(weight=1e-4))
    # Rows of pre-training are short: YaRN is for the stages after it (section 4.3).
    attention = dataclasses.replace(
        shape.attention,
        positions=Rope(interleaved=True),
        kernel=Splash(computed=True, fused_backward=True, backward_keys=2048),
    )
    feedforward = dataclasses.replace(shape.feedforward, rest=moe)
    return dataclasses.replace(shape, attention=attention, feedforward=feedforward)
