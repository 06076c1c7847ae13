"""DeepSeek-V3 (2024, section 4.2) pre-trained on C4 over 512 chips of v5p (8x8x8), two rows a chip.

All 671 billion weights, of which a token meets 37: latent attention, three dense blocks, then 256 small experts and a
shared one in each, chosen by sigmoids within groups and kept even by a bias. Weights and both of Adam's moments are
float32. Not there: the paper's prediction of a further token (`model.multi_token` takes no stack whose last block
routes), its products in 8 bits and its growing batch. Data and number of steps are a start.

Experts lie on 64 devices, 4 on each, so that what layers gather of them over the other 8 stays small; whatever else
there is would be the same on all 64, which is why the optimizer's share of it is divided over them. No token is
dropped: the devices of a layer's fullest experts take 1.5 times an even share, and more in a further round. One row a
chip at a time leaves room to keep every product for the backward pass.

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
    batch = packed(4096, 1024, accumulate=2)
    return pretraining(_shape(), 129_000, batch, placement, peak=2.2e-4, objective=objective)


def _shape() -> TransformerConfig:
    shape = apart(trained(DeepSeekV3().preset("DeepSeek-V3"), remat="save_products"))
    moe = dataclasses.replace(shape.feedforward.rest, dispatch=Dropless(), balance=BalanceBias(weight=1e-4))
    # Rows of pre-training are short: YaRN is for the stages after it (section 4.3). With longer blocks of keys the
    # fused backward pass would keep fewer gradients apart; where attention was kept, VMEM had no room for 2,048.
    attention = dataclasses.replace(
        shape.attention,
        positions=Rope(interleaved=True),
        kernel=Splash(computed=True, fused_backward=True, backward_keys=1024),
    )
    feedforward = dataclasses.replace(shape.feedforward, rest=moe)
    return dataclasses.replace(shape, attention=attention, feedforward=feedforward)
