"""Induction heads: two layers learn to go on as their context did, and one does not (Olsson 2022)."""

from data.sources import Tfds
from experiments.ablation.arm import Arm
from experiments.ablation.decision import Better
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder
from experiments.ablation.parents.sequences import repeats
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from model.masks import Causal, SlidingWindow
from train.experiment import Cadence

# Letters 64 to 127, of which each has been read before, less letters 4 to 7, of which none can be known.
LATE, EARLY = "eval/position_00064/loss", "eval/position_00004/loss"


def study() -> Study:
    """The study."""
    often = {"cadence": Cadence(log=50, evaluate=200, checkpoint=2000, keep=1)}
    text = often | {
        "data.source": Tfds("c4/en:3.0.1", split="train"), "model.layers": 2, "model.embed": 768,
        "model.attention.heads": 12, "model.feedforward.hidden": 3072, "batch.sequence": 8192, "batch.batch": 128,
        "steps": 10_000,
    }  # fmt: skip
    return Study(
        paper=Paper(
            title="In-context Learning and Induction Heads",
            authors="Olsson et al.",
            year=2022,
            identifier="arXiv:2209.11895",
            table="Argument 1",
            setting="34 models of text; the score is the loss of token 500 less that of token 50",
        ),
        hypothesis="A model of two layers learns to predict by what its context holds, and one of one layer far less.",
        arms=(
            Arm("2 layers"),
            Arm("1 layer", {"model.layers": 1}),
            Arm("2 layers that see 4 back", {"model.attention.mask": Causal() & SlidingWindow(4)}),
        ),
        metric=Lower(LATE, "nats a letter", minus=EARLY),
        claim=Better(names=("2 layers",), than=("1 layer",), worth=0.2),
        control=Better(names=("2 layers",), than=("2 layers that see 4 back",), worth=0.5),
        scales={
            "cpu": Scale(
                repeats(), note="Random letters with a period that each row draws anew, of 8 to 24", first_seed=100
            ),
            "gpu": Scale(repeats(often | {"steps": 10_000, "batch.batch": 128})),
            "paper": Scale(medium_decoder(text), topology="v5e:4x4", note="C4, 10 billion tokens; two layers and MLPs"),
        },
        note="The paper's change is abrupt; on a CPU two layers part from one gradually, and gain until the run ends.",
    )  # fmt: skip
