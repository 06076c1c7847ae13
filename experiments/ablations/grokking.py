"""Grokking: what is known by heart is understood much later, and sooner with weight decay (Power 2022)."""

from experiments.ablation.arm import Arm
from experiments.ablation.decision import AllOf, Better, Ordering
from experiments.ablation.metric import StepsTo
from experiments.ablation.paper import Paper
from experiments.ablation.parents.sequences import sums
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study


def decay(value: float) -> Arm:
    """The parent's share of the table, and this decay."""
    return Arm(f"decay {value:g}", {"optimizer.decay": value})


def share(learnt: float) -> Arm:
    """This share of the table to learn from."""
    return Arm(f"{learnt:.0%} of the table", {"data.split.fraction": round(1 - learnt, 4)})


def study() -> Study:
    """The study."""
    small = sums({
        "steps": 2000, "batch.batch": 128, "schedule.peak": 3e-3, "data.split.fraction": 0.3,
        "cadence.log": 25, "cadence.evaluate": 25, "cadence.checkpoint": 2000,
    }, modulus=31, layers=1, embed=64)  # fmt: skip
    return Study(
        paper=Paper(
            title="Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
            authors="Power et al.",
            year=2022,
            identifier="arXiv:2201.02177",
            table="Figures 1 and 2",
            setting="decoders that learn tables of binary operations, with AdamW",
        ),
        hypothesis="A model that has learnt a part of a table by heart comes to know the rest the sooner, the more its "
        "weights decay, and the more of the table it has.",
        arms=(decay(1.0), decay(0.3), decay(0.0), share(0.85), share(0.5), share(0.2)),
        # Of two tokens one is the end of the text, which is always known: 0.2 nats a sum.
        metric=StepsTo("eval/loss", "steps", below=0.1),
        claim=AllOf((
            Ordering(names=("decay 1", "decay 0.3", "decay 0"), worth=100),
            Ordering(names=("85% of the table", "decay 1", "50% of the table"), worth=100),
        )),
        control=Better(names=("decay 1",), than=("20% of the table",), worth=100),
        note="A run that does not come to know the rest counts as all the steps that it had.",
        scales={
            "cpu": Scale(small, note="One layer of 64, modulo 31, 70% of the table"),
            "gpu": Scale(sums({"steps": 30_000})),
            "paper": Scale(sums(), topology="v5e:2x2"),
        },
    )  # fmt: skip
