"""A constant rate with a cooldown at the end, instead of a cosine (Hägele 2024)."""

from collections.abc import Callable

from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import AllOf, Better, Equivalent, Ordering
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.gpts import slim_llama
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned
from train.experiment import Experiment
from train.schedule import Constant
from train.stable_decay import WarmupStableDecay

COOLDOWNS = ("cooldown 20%", "cooldown 10%", "cooldown 5%", "constant")


def cooled(share: float) -> Callable[[Experiment], Changes]:
    """The parent's warm-up and peak, and a cooldown over this share of its steps, by 1 - sqrt."""

    def changes(parent: Experiment) -> Changes:
        old = parent.schedule
        return {"schedule": WarmupStableDecay(old.peak, old.warmup, decay=round(share * parent.steps))}

    return changes


def constant(parent: Experiment) -> Changes:
    """The parent's warm-up and peak, and no end."""
    return {"schedule": Constant(parent.schedule.peak, parent.schedule.warmup)}


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations",
            authors="Hägele et al.",
            year=2024,
            identifier="arXiv:2405.18392",
            table="Figures 4 to 6",
            setting="210M weights on SlimPajama; curves, of which no numbers are printed",
        ),
        hypothesis="A constant rate with a cooldown over the last fifth of the steps ends where a cosine ends, and "
        "shorter cooldowns end higher, the more so the shorter they are.",
        arms=(
            Arm("cosine"),
            Arm("cooldown 20%", cooled(0.2)),
            Arm("cooldown 10%", cooled(0.1)),
            Arm("cooldown 5%", cooled(0.05)),
            Arm("constant", constant),
        ),
        metric=Lower("eval/loss", "nats a token"),
        claim=AllOf((Equivalent(names=("cosine", "cooldown 20%"), margin=0.02), Ordering(names=COOLDOWNS))),
        control=Better(names=("cosine", "cooldown 20%"), than=("constant",), worth=0.01),
        scales={
            "cpu": Scale(
                small_decoder({"steps": 800}),
                seeds=6,
                first_seed=100,
                tuning=Tuned(values("schedule.peak", 1.25e-3, 2.5e-3, 5e-3, 1e-2)),
                note="2 x 64 on bytes, 800 steps",
            ),
            "gpu": Scale(medium_decoder(), tuning=Tuned(values("schedule.peak", 5e-4, 1e-3, 2e-3))),
            "paper": Scale(slim_llama(), tuning=Tuned(values("schedule.peak", 5e-4, 1e-3, 2e-3)), topology="v5e:4x4"),
        },
        note="On a CPU the cosine ends 0.07 nats above the cooldown over a fifth, each at its best rate, which lies "
        "between others that were tried; cooldowns come in the paper's order. In so few steps it matters most how "
        "far a model gets, and a cosine's mean rate is half its peak.",
    )
