"""How large a model should be for a budget of compute (Hoffmann 2022), by curves of equal FLOPs and by a law."""

import math

from experiments.ablation.arm import Arm
from experiments.ablation.by_arm import ByArm
from experiments.ablation.decision import AllOf, Ordering
from experiments.ablation.frontier import Frontier
from experiments.ablation.isoflop import isoflop
from experiments.ablation.metric import Lower
from experiments.ablation.optimum import OfWeights, Optimum
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.gpts import speedrun
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.trend import Slope
from experiments.ablation.tuning import Everywhere
from model.parametrization import MuP
from sharding.placements import FullySharded
from train.experiment import Experiment

# Each arm has so many times the FLOPs of the first.
BUDGETS = {"1 x": 1, "4 x": 4, "16 x": 16}
# Of the exponent; that of Kaplan et al. lies outside.
RANGE = {"low": 0.4, "high": 0.65}
LOSS = Lower("eval/loss")


def budgets(parent: Experiment, flops: float, *widths: tuple[int, ...]) -> ByArm:
    """The smallest budget, and the widths that each of the three is spent on."""
    return ByArm(
        {
            name: Everywhere(isoflop(parent, times * flops, of))
            for (name, times), of in zip(BUDGETS.items(), widths, strict=True)
        }
    )


def study() -> Study:
    """The study."""
    # One rate serves all sizes by muP.
    small = small_decoder(
        {
            "model.embed": 32, "model.attention.heads": 4, "model.feedforward.hidden": 128,
            "model.parametrization": MuP(base_width=32, std=32**-0.5), "batch.batch": 4, "schedule.peak": 1e-2,
            "cadence.log": 100, "cadence.evaluate": 100_000, "cadence.checkpoint": 100_000,
        }
    )  # fmt: skip
    medium = medium_decoder({"model.parametrization": MuP(base_width=384, std=0.05)})
    large = speedrun(
        {
            "model.parametrization": MuP(base_width=768, std=0.02), "batch.batch": 128, "batch.accumulate": 1,
            "placement": FullySharded(),
        }
    )  # fmt: skip
    return Study(
        paper=Paper(
            title="Training Compute-Optimal Large Language Models",
            authors="Hoffmann et al.",
            year=2022,
            identifier="arXiv:2203.15556",
            table="Table 2",
            setting="weights grow with FLOPs to the power of 0.50, 0.49 and 0.46 by three approaches; by Kaplan et al. "
            "(2020) to that of 0.73",
        ),
        hypothesis="The number of weights that is best for a budget of FLOPs grows about as its square root.",
        arms=tuple(Arm(name) for name in BUDGETS),
        metric=Optimum(key="eval/loss", unit="log10 of the best size", axis=OfWeights(), points=5, base=10),
        claim=AllOf((
            Slope(names=tuple(BUDGETS), at=tuple(map(math.log10, BUDGETS.values())), **RANGE),
            Frontier(names=tuple(BUDGETS), metric=LOSS, **RANGE),
        )),
        control=Ordering(names=tuple(BUDGETS)[::-1], metric=LOSS, worth=0.05),
        scales={
            "cpu": Scale(
                small,
                tuning=budgets(
                    small, 4e10, (8, 16, 24, 32, 48, 64), (16, 24, 32, 48, 64, 96), (24, 32, 48, 64, 96, 128)
                ),
                note="two blocks of 8 to 128 on bytes; the corpus is read at most 1.8 times",
                first_seed=100,
            ),
            "gpu": Scale(
                medium,
                tuning=budgets(
                    medium, 1e15, (128, 192, 256, 320, 384, 512), (192, 256, 320, 384, 512, 640),
                    (256, 320, 384, 512, 640, 768),
                ),
            ),
            "paper": Scale(
                large,
                tuning=budgets(
                    large, 6e18, (384, 512, 640, 768, 1024, 1280), (512, 640, 768, 1024, 1280, 1536),
                    (768, 1024, 1280, 1536, 2048, 2560),
                ),
                topology="v5e:8x8",
                note="three of the paper's nine budgets, on FineWeb in the place of MassiveText",
            ),
        },
        note="All weights are counted, as in the paper; width grows and depth does not.",
    )  # fmt: skip
