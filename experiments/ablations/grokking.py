"""Grokking: what is known by heart is understood much later, and sooner with weight decay (Power 2022)."""

from experiments.ablation.arm import Arm
from experiments.ablation.decision import AllOf, Better, Ordering
from experiments.ablation.metric import StepsTo
from experiments.ablation.paper import Paper
from experiments.ablation.parents.sequences import sums
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study


def decay(value: float) -> Arm:
    """Half of the table, and this decay."""
    return Arm(f"decay {value:g}", {"optimizer.decay": value})


def share(learnt: float) -> Arm:
    """This share of the table to learn from."""
    return Arm(f"{learnt:.0%} of the table", {"data.split.fraction": round(1 - learnt, 4)})


def study() -> Study:
    """The study."""
    small = sums({
        "steps": 4000, "batch.batch": 256, "cadence.log": 50, "cadence.evaluate": 50, "cadence.checkpoint": 4000,
    }, modulus=43, layers=1, embed=64)  # fmt: skip
    return Study(
        paper=Paper(
            title="Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
            authors="Power et al.",
            year=2022,
            identifier="arXiv:2201.02177",
            table="Figures 1 and 2",
            setting="two layers of 128, AdamW, binary operations modulo 97",
        ),
        hypothesis="A model that has learnt a part of a table by heart comes to know the rest the sooner, the more its "
        "weights decay, and the more of the table it has.",
        arms=(decay(1.0), decay(0.3), decay(0.0), share(0.7), share(0.35), share(0.1)),
        metric=StepsTo("eval/loss", "steps", below=0.1, worst=4000.0),
        claim=AllOf((
            Ordering(names=("decay 1", "decay 0.3", "decay 0"), worth=100),
            Ordering(names=("70% of the table", "decay 1", "35% of the table"), worth=100),
        )),
        control=Better(names=("decay 1",), than=("10% of the table",), worth=100),
        scales={
            "cpu": Scale(small, note="One layer of 64, modulo 43"),
            "gpu": Scale(sums({"steps": 30_000})),
            "paper": Scale(sums(), topology="v5e:2x2"),
        },
    )  # fmt: skip
