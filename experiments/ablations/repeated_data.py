"""The same text again and again, when there is no more of it (Muennighoff 2023)."""

from collections.abc import Callable

from data.packing import Sampled
from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import AllOf, Better, Equivalent, Ordering
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.gpts import gpt2_small_c4
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from train.experiment import Experiment


def epochs(count: int) -> Callable[[Experiment], Changes]:
    """As many steps as the parent, over rows that last for one `count`-th of them; chosen from the whole corpus."""

    def changes(parent: Experiment) -> Changes:
        return {"batch.packing": Sampled(parent.batch.batch * parent.steps // count)}

    return changes


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="Scaling Data-Constrained Language Models",
            authors="Muennighoff et al.",
            year=2023,
            identifier="arXiv:2305.16264",
            table="Figures 1 and 5",
            setting="8.7B weights on 44B tokens, four times over, end 0.5% above those that see new text alone",
        ),
        hypothesis="With as many steps, four epochs over a quarter of the text are nearly as good as one over all of "
        "it; many epochs over little are not.",
        arms=(
            Arm("1 epoch", epochs(1)),
            Arm("4 epochs", epochs(4)),
            Arm("16 epochs", epochs(16)),
            Arm("64 epochs", epochs(64)),
        ),
        metric=Lower("eval/loss", "nats a token"),
        claim=AllOf(
            (
                Equivalent(names=("1 epoch", "4 epochs"), margin=0.04),
                Ordering(names=("4 epochs", "16 epochs", "64 epochs"), worth=0.1),
            )
        ),
        control=Better(names=("1 epoch",), than=("64 epochs",), worth=0.1),
        scales={
            "cpu": Scale(
                small_decoder({"steps": 1024, "schedule.peak": 1e-2, "cadence.evaluate": 256}),
                note="2 x 64 on 1M bytes and parts of them; rows of 128 chosen at random",
            ),
            "gpu": Scale(medium_decoder()),
            "paper": Scale(gpt2_small_c4(), topology="v5e:4x4", note="146M weights, of the paper's sizes a small one"),
        },
        note="The margin is 2% of the loss.",
    )
