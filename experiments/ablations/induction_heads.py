"""Induction heads: what is in the context is learnt to be used, at once, by two layers and not by one (Olsson 2022)."""

from data.sources import Tfds
from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import AllOf, Better
from experiments.ablation.metric import Higher, Jump, Lower
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder
from experiments.ablation.parents.sequences import repeats
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from model.masks import Causal, SlidingWindow
from train.experiment import Cadence, Experiment

# Letters 64 to 127, of which each has been read before, less letters 4 to 7, of which none can be known.
LATE, EARLY = "eval/position_00064/loss", "eval/position_00004/loss"


def wide(parent: Experiment) -> Changes:
    """One layer with about the weights of two, so that it is not their number that counts."""
    model = parent.model
    return {"model.layers": 1, "model.embed": 2 * model.embed, "model.feedforward.hidden": 2 * model.feedforward.hidden}


def study() -> Study:
    """The study."""
    one = ("1 layer", "1 layer, twice as wide")
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
        hypothesis="A model of two layers learns abruptly to predict by what its context holds, and one of one layer "
        "does not learn it.",
        arms=(
            Arm("2 layers"),
            Arm("1 layer", {"model.layers": 1}),
            Arm("1 layer, twice as wide", wide),
            Arm("2 layers that see 4 back", {"model.attention.mask": Causal() & SlidingWindow(4)}),
        ),
        metric=Lower(LATE, "nats a letter", minus=EARLY),
        claim=AllOf((
            Better(names=("2 layers",), than=one, worth=0.5),
            Better(names=("2 layers",), than=one, worth=0.2, metric=Higher(LATE, reading=Jump(), minus=EARLY)),
        )),
        control=Better(names=("2 layers",), than=("2 layers that see 4 back",), worth=0.5),
        scales={
            "cpu": Scale(repeats(), note="Random letters with a period that each row draws anew, of 8 to 24"),
            "gpu": Scale(repeats(often | {"steps": 10_000, "batch.batch": 128})),
            "paper": Scale(medium_decoder(text), topology="v5e:4x4", note="C4, 10 billion tokens; two layers and MLPs"),
        },
    )  # fmt: skip
