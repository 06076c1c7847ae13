"""Pre-training objectives: language modelling, with a prefix, and span corruption (Raffel 2020)."""

import dataclasses
from typing import Any

from data.curation import Clean, Transform, WithField
from data.packing import Padded
from data.recipe import Recipe
from data.sources import PythonNames, Source, Tfds
from data.split import HashSplit
from data.targets import DecoderOnly, NextToken, Pairs, PrefixLM, SpanCorruption, Targets
from data.tokenizers import Bytes, SentencePiece, TokenizerSpec, TrainedOn, sentinels
from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import AllOf, Better
from experiments.ablation.metric import Best, Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from model.attention import Attention
from model.feedforward import MLP
from model.masks import Causal, GivenPrefix, Mask
from model.positions import T5Bias
from train.experiment import Cadence, Experiment
from train.optimizers import Adafactor
from train.pretrained import Pretrained
from train.schedule import Constant, FlatInverseSquareRoot, WarmupCosine
from train.start import Scratch

ROUGE = {"LM: LM": 17.54, "LM: denoising": 17.93, "prefix LM: LM": 17.84, "prefix LM: denoising": 18.61}
C4 = Tfds("c4/en:3.0.1", split="train")


def targets(name: str, parent: Experiment) -> Targets:
    """Of an objective. Spans have three pieces of words, or as many bytes as these have."""
    if name.endswith("denoising"):
        of_bytes = isinstance(parent.data.tokenizer, Bytes)
        return SpanCorruption(mean_span=12.0 if of_bytes else 3.0, layout=DecoderOnly())
    return PrefixLM() if name.startswith("prefix") else NextToken()


def mask(name: str) -> Mask:
    """Of an architecture."""
    return Causal() | GivenPrefix() if name.startswith("prefix") else Causal()


def arm(name: str) -> Arm:
    """An architecture and what it is pre-trained for."""

    def changes(parent: Experiment) -> Changes:
        return {"model.attention.mask": mask(name), "start.targets": targets(name, parent)}

    return Arm(name, changes, PaperNumber(ROUGE[name], "Table 2, of P weights, CNNDM, ROUGE-2-F"))


def pairs(source: Source, tokenizer: TokenizerSpec, sequence: int, target: int, *then: Transform) -> dict[str, Any]:
    """Fine-tuning on pairs of texts, each in one row."""
    return {
        "data": Recipe(source, then, HashSplit(0.05), tokenizer), "batch.sequence": sequence,
        "batch.packing": Padded(), "batch.targets": Pairs(target, layout=DecoderOnly()),
    }  # fmt: skip


def small() -> Experiment:
    """Names of functions from their docstrings, after other steps on all of the documentation."""
    parent, tokenizer = small_decoder(), Bytes(special=sentinels(16))
    first = Pretrained(dataclasses.replace(parent.data, tokenizer=tokenizer), 800, WarmupCosine(3e-3, 40))
    return small_decoder({
        "model.vocab": 257 + 16, "start": first, "steps": 250, "schedule": WarmupCosine(1e-3, 20),
        "cadence": Cadence(log=50, evaluate=50, checkpoint=800, keep=1), **pairs(PythonNames(100), tokenizer, 128, 25),
    })  # fmt: skip


def large(layers: int, embed: int, rows: int, steps: int, most: int) -> Experiment:
    """Summaries of news (CNN and Daily Mail), after other steps on C4."""
    tokenizer = TrainedOn(C4, SentencePiece(vocab=32_000, special=sentinels(100)), documents=500_000)
    first = Pretrained(
        Recipe(C4, (Clean(),), HashSplit(0.0005), tokenizer), steps, FlatInverseSquareRoot(0.01, 10_000), sequence=512
    )
    news = Tfds("cnn_dailymail:3.4.0", split="train", text_field="article")
    return medium_decoder({
        "model.layers": layers, "model.embed": embed, "model.vocab": 32_128,
        "model.attention": Attention(embed // 64, positions=T5Bias()), "model.feedforward": MLP(4 * embed, "relu"),
        "model.dropout": 0.1, "start": first, "batch.batch": rows, "steps": most, "optimizer": Adafactor(),
        "schedule": Constant(1e-3), "cadence": Cadence(log=50, evaluate=5000, checkpoint=5000, keep=1),
        **pairs(news, tokenizer, 640, 128, WithField("highlights")),
    })  # fmt: skip


def study() -> Study:
    """The study."""
    causal, seen = ("LM: LM", "LM: denoising"), ("prefix LM: LM", "prefix LM: denoising")
    return Study(
        paper=Paper(
            title="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
            authors="Raffel et al.",
            year=2020, identifier="arXiv:1910.10683", table="Table 2",
            setting="12 layers of 768, 2^19 steps on C4, then 2^18 on each task",
        ),
        hypothesis="With the weights and steps of one decoder, a task is learnt better after denoising than after "
        "language modelling, and better if its input may be read both ways.",
        arms=(
            *(arm(name) for name in ROUGE),
            Arm("prefix LM: nothing", {"model.attention.mask": mask("prefix"), "start": Scratch()}),
        ),
        metric=Lower("eval/loss", "nats a token of the task", reading=Best()),
        claim=AllOf((
            *(Better(names=(f"{kind}: denoising",), than=(f"{kind}: LM",)) for kind in ("LM", "prefix LM")),
            *(Better(names=(yes,), than=(no,)) for yes, no in zip(seen, causal, strict=True)),
        )),
        control=Better(names=("prefix LM: denoising",), than=("prefix LM: nothing",), worth=0.05),
        scales={
            "cpu": Scale(small(), note="2 x 64; names of functions from docstrings, after 800 steps", first_seed=100),
            "gpu": Scale(large(8, 512, 64, steps=4000, most=1000), note="4,000 steps before, and 1,000 on the task"),
            "paper": Scale(large(12, 768, 128, steps=2**19, most=2**18), topology="v5e:4x4"),
        },
        note="On a CPU language modelling is best by far. It learns from all bytes of a row, with a prefix from half, "
        "denoising from a sixth; five times the steps bring that from 2.69 to 2.52 (a seed each, spans of 3 bytes).",
    )  # fmt: skip
