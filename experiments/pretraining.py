"""What the pre-training runs of published shapes have in common: data, optimizer, schedule, cadence."""

import dataclasses
from typing import Any

from data.curation import Clean
from data.packing import Windows
from data.recipe import Recipe
from data.sources import Tfds
from data.split import HashSplit
from data.tokenizers import SentencePiece
from experiments.report import Report
from experiments.samples import Samples
from model.config import TransformerConfig
from model.masks import Segments
from model.mixing import Interleaved
from model.precision import Precision
from model.spec import ModelSpec
from sharding.placement import Placement
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def pretraining(
    model: ModelSpec, vocab: int, batch: Batches, placement: Placement, peak: float = 3e-4, **others: Any
) -> Experiment:
    """A run on C4 with AdamW and a cosine; a start, not the data and length of the paper whose shape it has.

    Args:
      model: the shape.
      vocab: tokens of the vocabulary that is trained on the data; a model may have a few more.
      batch: what a step reads.
      placement: how it lies on the devices.
      peak: the highest learning rate.
      others: further fields of the experiment.
    """
    fields = dict(
        model=model,
        data=Recipe(
            source=Tfds("c4/en:3.0.1", split="train"),
            transforms=(Clean(),),
            split=HashSplit(0.0005),
            tokenizer=SentencePiece(vocab=vocab),
        ),
        batch=batch,
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=peak, warmup=2000, floor=peak / 10),
        steps=40_000,
        placement=placement,
        cadence=Cadence(log=10, evaluate=1000, checkpoint=500, keep=3),
        hooks=(Samples(), Report()),
    )
    return Experiment(**(fields | others))


def trained(shape: TransformerConfig, remat: str) -> TransformerConfig:
    """A published shape in the formats of training: float32 weights, bfloat16 arithmetic."""
    return dataclasses.replace(shape, precision=Precision(), remat=remat)


def apart(shape: TransformerConfig) -> TransformerConfig:
    """The shape with documents of one row kept apart (Grattafiori 2024, section 3.2); goes with `packed`."""
    specs = shape.attention.specs if isinstance(shape.attention, Interleaved) else (shape.attention,)
    specs = tuple(dataclasses.replace(spec, mask=spec.mask & Segments()) for spec in specs)
    return dataclasses.replace(shape, attention=specs[0] if len(specs) == 1 else Interleaved(specs))


def packed(sequence: int, batch: int, accumulate: int = 1) -> Batches:
    """Rows cut from the stream of documents, with what keeps these apart."""
    return Batches(sequence=sequence, batch=batch, accumulate=accumulate, packing=Windows(segments=True))
