"""Muon and SOAP against AdamW (Jordan 2024), each at the best of its own rates; and Lion (Chen 2023)."""

from experiments.ablation.arm import Arm
from experiments.ablation.by_arm import ByArm
from experiments.ablation.decision import Better
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.gpts import speedrun
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned
from train.optimizers import SOAP, AdamW, Lion, Muon

SOURCE = "records/102924_Optimizers, validation loss after 5,100 steps"


def tuned(centre: float, seeds: tuple[int, ...] = (1_000_000,)) -> ByArm:
    """Five rates for each optimizer, a factor of three apart, about where each is known to do well.

    Args:
      centre: the middle one of AdamW. Lion's are ten times lower (Chen 2023, section 5); those of the control, to
        which tuning is of no use, a hundred times.
      seeds: to tune on.
    """
    places = {"AdamW": 1.0, "Lion": 0.1, "Muon": 1.0, "SOAP": 1.0, "AdamW, rates too low": 0.01}

    def rates(middle: float) -> Tuned:
        return Tuned(values("schedule.peak", *(float(f"{middle * 3.0**k:.2g}") for k in range(-2, 3))), seeds)

    return ByArm({name: rates(centre * place) for name, place in places.items()})


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="modded-nanogpt, comparison of optimizers",
            authors="Jordan et al.",
            year=2024,
            identifier="github.com/KellerJordan/modded-nanogpt",
            table="records/102924_Optimizers",
            setting="GPT-2 small on FineWeb, 5,100 steps of 512 x 1024 tokens",
        ),
        hypothesis="With as many runs to tune each one's rate, Muon and SOAP reach a lower loss than AdamW.",
        arms=(
            Arm("AdamW", {"optimizer": AdamW(decay=0.0)}, PaperNumber(3.3406, SOURCE)),
            Arm("Muon", {"optimizer": Muon(decay=0.0)}, PaperNumber(3.2760, SOURCE)),
            Arm("SOAP", {"optimizer": SOAP(decay=0.0)}, PaperNumber(3.2752, SOURCE)),
            Arm("Lion", {"optimizer": Lion(decay=0.0)}),
            # What a comparison at an untuned rate looks like: the same optimizer, and worse.
            Arm("AdamW, rates too low", {"optimizer": AdamW(decay=0.0)}),
        ),
        metric=Lower("eval/loss", "nats a token"),
        claim=Better(names=("Muon", "SOAP"), than=("AdamW",), worth=0.02),
        control=Better(names=("AdamW",), than=("AdamW, rates too low",), worth=0.02),
        scales={
            "cpu": Scale(small_decoder(), tuning=tuned(1e-2), note="2 x 64 on bytes, 400 steps"),
            "gpu": Scale(medium_decoder(), tuning=tuned(2e-3)),
            "paper": Scale(speedrun(), tuning=tuned(3.6e-3), topology="v5e:4x4"),
        },
        note="No arm decays weights; what else an optimizer has is at its published values.",
    )
