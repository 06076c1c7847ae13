"""Fewer key and value heads than query heads: how fast is decoding, and what is lost (Shazeer 2019; Ainslie 2023)."""

from experiments.ablation.arm import Arm
from experiments.ablation.decision import AllOf, Better, Equivalent, Ordering
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.c4 import c4_decoder
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.decoding_speed import DecodingSpeed
from model.attention import Attention
from model.feedforward import GatedMLP
from model.masks import Causal, SlidingWindow

LOSS = Lower("eval/loss", "nats a token")
BYTES = Lower("perf/decoding_cache_bytes", "bytes of a row's cache")


def heads(name: str, kv_heads: int, seconds: float | None = None) -> Arm:
    """An arm with so many key heads; 0: as many as query heads."""
    number = None if seconds is None else PaperNumber(seconds, f"Table 1, row {name}-XXL, T_infer in seconds a sample")
    return Arm(name, {"model.attention.kv_heads": kv_heads}, number)


def measured(context: int, rows: int) -> dict[str, object]:
    """Decoding is measured after so long a context; the model is evaluated once."""
    return {"hooks": (DecodingSpeed(context, rows),)}


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints",
            authors="Ainslie et al.",
            year=2023,
            identifier="arXiv:2305.13245",
            table="Table 1",
            setting="T5.1.1 XXL, converted from many key heads and trained for another 5% of its steps",
        ),
        hypothesis="With groups of query heads that share a key head, a model decodes almost as fast as with one key "
        "head for all, and predicts as well as with one for each.",
        arms=(
            heads("MHA", 0, 1.51),
            heads("GQA", 2, 0.28),
            heads("MQA", 1, 0.24),
            # Every token sees itself alone.
            Arm("blind", {"model.attention.mask": Causal() & SlidingWindow(1)}),
        ),
        metric=Lower("perf/decoding_milliseconds", "milliseconds a token of all rows"),
        claim=AllOf(
            (
                Ordering(names=("MQA", "GQA", "MHA")),
                Ordering(names=("MQA", "GQA", "MHA"), metric=BYTES),
                Equivalent(names=("MHA", "GQA"), margin=0.05, metric=LOSS),
            )
        ),
        control=Better(names=("MQA",), than=("blind",), worth=0.1, metric=LOSS),
        scales={
            "cpu": Scale(
                small_decoder(
                    {
                        "model.attention.heads": 8,
                        "batch.sequence": 64,
                        "schedule.peak": 1e-2,
                        **measured(context=1024, rows=16),
                    }
                ),
                note="2 x 64 on bytes with 8 heads, from scratch; decoding after 1,024 tokens, 16 rows at once",
            ),
            "gpu": Scale(medium_decoder(measured(context=4096, rows=32)), seeds=3),
            "paper": Scale(
                c4_decoder(
                    {
                        "model.layers": 24,
                        "model.embed": 1024,
                        "model.attention": Attention(heads=16),
                        "model.feedforward": GatedMLP(2816, "gelu"),
                        **measured(context=8192, rows=32),
                    }
                ),
                seeds=1,
                topology="v5e:4x8",
                note="a decoder of the size of T5.1.1 Large, from scratch, where the paper converts an encoder-decoder",
            ),
        },
    )
