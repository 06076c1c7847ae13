"""Normalised queries and keys, the z-loss, and how much a wrong learning rate costs (Wortsman 2023)."""

import math

from experiments.ablation.arm import Arm
from experiments.ablation.decision import AllOf, Better, Equivalent
from experiments.ablation.metric import Lower, Sensitivity
from experiments.ablation.paper import Paper
from experiments.ablation.parents.c4 import c4_decoder
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Everywhere
from model.norms import LayerNorm
from model.qk_norm import PerHead

NORM = {"model.attention.qk_norm": PerHead(LayerNorm())}
Z_LOSS = {"objective.z_loss": 1e-4}
# That of a model that knows nothing, over bytes; with a larger vocabulary a run that diverged costs as much.
UNTRAINED = math.log(257)


def study() -> Study:
    """The study."""
    loss = Lower("eval/loss", "nats a token", worst=UNTRAINED)
    return Study(
        paper=Paper(
            title="Small-scale proxies for large-scale Transformer training instabilities",
            authors="Wortsman et al.",
            year=2023,
            identifier="arXiv:2309.14322",
            table="Figures 1 and 3",
            setting="decoders of 10M to 4.8B weights on C4, 10^5 steps of 256 rows of 512; the results are curves",
        ),
        hypothesis="With normalised queries and keys a learning rate that is too high costs less, and the best one "
        "is as good without.",
        arms=(
            Arm("base"),
            Arm("qk-norm", NORM),
            Arm("z-loss", Z_LOSS),
            Arm("no warm-up", {"schedule.warmup": 0, "optimizer.clip": 0.0}),
        ),
        metric=Sensitivity("eval/loss", "nats a token, mean over rates above the best", worst=UNTRAINED),
        claim=AllOf(
            (
                Better(names=("qk-norm",), than=("base",)),
                Equivalent(names=("base", "qk-norm"), margin=0.05, metric=loss),
            )
        ),
        control=Better(names=("base",), than=("no warm-up",), worth=0.05, metric=loss),
        scales={
            "cpu": Scale(
                small_decoder({"batch.sequence": 64, "steps": 200}),
                tuning=Everywhere(values("schedule.peak", 1e-2, 5e-2, 0.25)),
                note="2 x 64 on bytes, 200 steps of rows of 64",
                first_seed=100,
            ),
            "gpu": Scale(medium_decoder(), tuning=Everywhere(values("schedule.peak", 1e-3, 1e-2, 1e-1)), seeds=3),
            "paper": Scale(
                c4_decoder(),
                tuning=Everywhere(values("schedule.peak", 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)),
                seeds=1,
                topology="v5e:4x4",
            ),
        },
        note="Without warm-up and clipping the loss is higher at the best rate too, so that its sensitivity is not: "
        "the control, first to be by sensitivity, is by the loss. The z-loss changes nothing at this size.",
    )
