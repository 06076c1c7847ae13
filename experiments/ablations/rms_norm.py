"""RMSNorm instead of LayerNorm (Zhang and Sennrich 2019), as Narang 2021 measured it again."""

from experiments.ablation.arm import Arm, in_stacks
from experiments.ablation.decision import Better, Equivalent
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.t5 import t5_base
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned
from model.norms import LayerNorm, RMSNorm

SOURCE = "Table 1, column final loss"


def study() -> Study:
    """The study."""
    rates = values("schedule.peak", 3e-3, 1e-2, 3e-2)
    return Study(
        paper=Paper(
            title="Do Transformer Modifications Transfer Across Implementations and Applications?",
            authors="Narang et al.",
            year=2021,
            identifier="arXiv:2102.11972",
            table="Table 1",
            setting="T5 of 223M weights on C4, span corruption",
        ),
        hypothesis="A model learns as well when its norms do not subtract the mean.",
        arms=(
            Arm("LayerNorm", in_stacks("norm", LayerNorm(bias=True)), PaperNumber(1.838, SOURCE)),
            Arm("RMSNorm", in_stacks("norm", RMSNorm()), PaperNumber(1.821, SOURCE)),
            # Below an eps like this the statistics do not count: what is left is a constant factor.
            Arm("no norm", in_stacks("norm", RMSNorm(eps=1e4))),
        ),
        metric=Lower("eval/loss", "nats a token", worst=5.55),
        claim=Equivalent(names=("LayerNorm", "RMSNorm"), margin=0.02),
        control=Better(names=("LayerNorm",), than=("no norm",), worth=0.02),
        scales={
            "cpu": Scale(small_decoder(), tuning=Tuned(rates), note="2 x 64 on bytes; a decoder, next-byte loss"),
            "gpu": Scale(medium_decoder(), tuning=Tuned(values("schedule.peak", 5e-4, 1e-3, 2e-3))),
            "paper": Scale(t5_base(), topology="v5e:4x4"),
        },
        note="The speed that the papers also claim is not tested here.",
    )
