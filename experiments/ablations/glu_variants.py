"""GLU variants: gates in the feed-forward layer (Shazeer 2020)."""

from experiments.ablation.arm import Arm, in_stacks
from experiments.ablation.decision import Better
from experiments.ablation.match import SameWeights
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.t5 import t5_base
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned
from model.feedforward import MLP, GatedMLP

UNGATED = ("ReLU", "GELU", "Swish")
GATED = ("GLU", "Bilinear", "ReGLU", "GEGLU", "SwiGLU")


def plain(name: str, activation: str, loss: float | None = None, sd: float = 0.0) -> Arm:
    """Two matrices, as wide as the parent has them."""
    return Arm(name, in_stacks("feedforward", lambda of: MLP(of.feedforward.hidden, activation)), number(loss, sd))


def gated(name: str, activation: str, loss: float, sd: float) -> Arm:
    """Three matrices, two thirds as wide (section 2)."""
    return Arm(
        name, in_stacks("feedforward", lambda of: GatedMLP(round(of.feedforward.hidden * 2 / 3), activation)),
        number(loss, sd),
    )  # fmt: skip


def number(loss: float | None, sd: float) -> PaperNumber | None:
    """Held-out log-perplexity after 65,536 steps, and its deviation over four runs."""
    return None if loss is None else PaperNumber(loss, "Table 1, column 65,536 steps", sd)


def study() -> Study:
    """The study."""
    rates = values("schedule.peak", 3e-3, 1e-2, 3e-2)
    return Study(
        paper=Paper(
            title="GLU Variants Improve Transformer",
            authors="Shazeer",
            year=2020,
            identifier="arXiv:2002.05202",
            table="Table 1",
            setting="T5-base on C4, span corruption, 65,536 steps of 128 rows; mean of four runs",
        ),
        hypothesis="With as many weights and FLOPs, every gated feed-forward layer reaches a lower loss than every "
        "ungated one.",
        arms=(
            plain("ReLU", "relu", 1.997, 0.005),
            plain("GELU", "gelu", 1.983, 0.005),
            plain("Swish", "silu", 1.994, 0.003),
            gated("GLU", "sigmoid", 1.982, 0.006),
            gated("Bilinear", "identity", 1.960, 0.005),
            gated("ReGLU", "relu", 1.953, 0.003),
            gated("GEGLU", "gelu", 1.942, 0.004),
            gated("SwiGLU", "silu", 1.944, 0.010),
            plain("no activation", "identity"),
        ),
        metric=Lower("eval/loss", "nats a token"),
        claim=Better(names=GATED, than=UNGATED),
        control=Better(names=UNGATED, than=("no activation",), worth=0.01),
        matched=(SameWeights(within=0.01),),
        scales={
            "cpu": Scale(small_decoder(), tuning=Tuned(rates), note="2 x 64 on bytes; a decoder, next-byte loss"),
            "gpu": Scale(medium_decoder(), tuning=Tuned(values("schedule.peak", 5e-4, 1e-3, 2e-3))),
            "paper": Scale(t5_base(), topology="v5e:4x4"),
        },
        note="On a CPU four of the gated layers are ahead of ReLU and Swish by 0.05 to 0.07 and level with GELU; GLU, "
        "whose sigmoid lets a half of everything through when training starts, is behind them all after 400 steps.",
    )
