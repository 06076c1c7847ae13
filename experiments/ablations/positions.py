"""Position encodings in rows that are longer than those trained on (Press 2021; Kazemnejad 2023 of none at all)."""

from experiments.ablation.arm import Arm
from experiments.ablation.decision import AllOf, Better
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.wikitext import wikitext103_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from model.positions import Alibi, NoPositions, Rope, Sinusoidal, T5Bias

KEY = "model.attention.positions"
# As in the paper: rows of 512 in training, and of 3,072 in evaluation.
LONGER = {"batch.longer": (6,)}
# Of a row that is learnt from.
SHORT = Lower("eval/loss", "nats a token")


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation",
            authors="Press, Smith and Lewis",
            year=2021,
            identifier="arXiv:2108.12409",
            table="WikiText-103, models of L = 512",
            setting="247M weights on WikiText-103, rows of 512, evaluated on rows of 3,072",
        ),
        hypothesis="Of models that were trained on short rows, those with biases by distance alone predict rows "
        "six times as long well.",
        arms=(
            Arm("sinusoidal", {KEY: Sinusoidal()}),
            Arm("rotary", {KEY: Rope()}),
            Arm("ALiBi", {KEY: Alibi()}, PaperNumber(18.40, "text on WikiText-103: perplexity, L = 512, at 3,072")),
            Arm("T5 bias", {KEY: T5Bias()}),
            Arm("none", {KEY: NoPositions()}),
        ),
        metric=Lower("eval/longer_6/loss", "nats a token in rows six times as long"),
        claim=AllOf(
            (
                Better(names=("ALiBi",), than=("sinusoidal", "rotary"), worth=0.1),
                Better(names=("ALiBi",), than=("none",)),
            )
        ),
        # Within the length that was trained on, it is long known, order helps.
        control=Better(names=("rotary",), than=("none",), worth=0.02, metric=SHORT),
        scales={
            "cpu": Scale(
                small_decoder({**LONGER, "batch.sequence": 64, "batch.evaluation": 16, "schedule.peak": 1e-2}),
                note="2 x 64 on bytes, rows of 64 and 384",
                first_seed=100,
            ),
            "gpu": Scale(medium_decoder({**LONGER, "batch.evaluation": 16}), seeds=3),
            "paper": Scale(wikitext103_decoder({**LONGER, "batch.evaluation": 32}), seeds=1, topology="v5e:4x4"),
        },
        note="Kazemnejad 2023 (arXiv:2305.19466) finds no encoding at all to be best on tasks that have a length; "
        "here the arm 'none' is judged by plain text alone.",
    )
