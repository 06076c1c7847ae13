"""The whole life of a small model in about two minutes on two CPU cores: what `make smoke` runs."""

from data.curation import Clean, DeduplicateParagraphs, ExactDeduplicate, MinLength
from data.curation.curation import Statement
from data.recipe import Recipe
from data.sources import PythonDocs
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.compression import Compression
from experiments.report import Report
from experiments.samples import Samples
from model.attention import Attention
from model.feedforward import GatedMLP
from model.masks import Causal
from model.positions import Rope
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import Muon
from train.schedule import WarmupCosine


def experiment() -> Experiment:
    """A Llama-style decoder on the documentation that comes with Python."""
    return Experiment(
        model=TransformerConfig(
            layers=3,
            embed=192,
            vocab=4096,
            attention=Attention(heads=6, kv_heads=3, mask=Causal(), positions=Rope()),
            feedforward=GatedMLP(hidden=512),
            precision=Precision(compute="float32"),
        ),
        data=Recipe(
            source=PythonDocs(),
            transforms=(Clean(), MinLength(40), ExactDeduplicate(), DeduplicateParagraphs()),
            split=HashSplit(0.05),
            tokenizer=SentencePiece(vocab=4096),
            statement=Statement(
                intended_use="First runs and tests, on any machine.",
                gaps="Two megabytes of English technical prose: one subject and one style.",
            ),
        ),
        batch=Batches(sequence=256, batch=2, evaluation=8),
        optimizer=Muon(iterations=3, decay=0.0, rate=2.0),
        schedule=WarmupCosine(peak=4e-3, warmup=10),
        steps=480,
        cadence=Cadence(log=10, evaluate=240, checkpoint=240),
        hooks=(Compression(), Samples(prompts=("The ", "def ")), Report()),
    )
