"""Size of the vocabulary, from bytes up, at equal FLOPs and in bits a byte of text (Tao 2024)."""

from data.tokenizers import Bytes, SentencePiece
from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import Better
from experiments.ablation.match import SameFlops
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper
from experiments.ablation.parents.c4 import c4_decoder
from experiments.ablation.parents.decoders import changed, medium_decoder, small_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned
from train.experiment import Experiment

BYTES = {"model.vocab": 257, "data.tokenizer": Bytes()}


def pieces(name: str, vocab: int, share: float = 1.0) -> Arm:
    """An arm with so many pieces of words, and steps for the FLOPs of the parent, which reads bytes; or a share."""

    def changes(parent: Experiment) -> Changes:
        size = {"model.vocab": vocab, "data.tokenizer": SentencePiece(vocab)}
        cost = changed(parent, size).flops_per_token / parent.flops_per_token
        return {**size, "steps": round(parent.steps * share / cost)}

    return Arm(name, changes)


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies",
            authors="Tao et al.",
            year=2024,
            identifier="arXiv:2407.13623",
            table="losses at equal FLOPs by size of the vocabulary",
            setting="decoders of 33M weights and more outside of the vocabulary; the results are curves",
        ),
        hypothesis="At equal FLOPs there is a best size of the vocabulary: smaller ones read less text, and larger "
        "ones spend too much on logits.",
        arms=(
            Arm("bytes"),
            pieces("1024", 1024),
            pieces("4096", 4096),
            pieces("16384", 16_384),
            pieces("a quarter", 4096, share=0.25),
        ),
        metric=Lower("eval/bits_per_byte", "bits a byte"),
        claim=Better(names=("4096",), than=("bytes", "16384")),
        control=Better(names=("4096",), than=("a quarter",), worth=0.05),
        matched=(SameFlops(within=0.01, arms=("bytes", "1024", "4096", "16384")),),
        scales={
            "cpu": Scale(
                small_decoder({"batch.sequence": 64, "steps": 2400, "schedule.warmup": 10}),
                tuning=Tuned(values("schedule.peak", 6e-3, 1.5e-2)),
                note="2 x 64",
                first_seed=100,
            ),
            "gpu": Scale(medium_decoder({**BYTES, "steps": 4000}), seeds=3),
            "paper": Scale(c4_decoder(BYTES), seeds=1, topology="v5e:4x4", note="1.9e7 weights outside of it"),
        },
        note="With a quarter of these FLOPs 16,384 pieces were as good as 4,096: in 60 steps frequencies of pieces are "
        "learnt and little else, and those of large ones tell more.",
    )
