"""T5 as its paper trained it, which studies of it start from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from data.curation import Clean
from data.recipe import Recipe
from data.sources import Tfds
from data.split import HashSplit
from data.targets import SpanCorruption
from data.tokenizers import SentencePiece
from experiments.ablation.arm import NOTHING
from experiments.ablation.parents.decoders import AS_IT_COMES, changed
from model.families.t5 import T5
from model.precision import Precision
from sharding.placements import DataParallel
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import Adafactor
from train.schedule import FlatInverseSquareRoot


def t5_base(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `paper`, after T5 (Raffel 2020, section 3.1): base, span corruption on C4, Adafactor, 2^16 steps of 128 rows.

    No dropout and pre-training alone, as in Shazeer 2020, section 3.1, and Narang 2021.
    """
    shape = T5().preset("t5-base")
    stacks = {
        name: dataclasses.replace(getattr(shape, name), precision=Precision(), remat="full")
        for name in ("encoder", "decoder")
    }
    return changed(
        Experiment(
            model=dataclasses.replace(shape, **stacks),
            data=Recipe(
                source=Tfds("c4/en:3.0.1", split="train"),
                transforms=(Clean(),),
                split=HashSplit(0.0005),
                tokenizer=SentencePiece(vocab=32_000),
            ),
            batch=Batches(sequence=512, batch=128, targets=SpanCorruption()),
            optimizer=Adafactor(),
            schedule=FlatInverseSquareRoot(peak=0.01, warmup=10_000),
            steps=65_536,
            placement=DataParallel(),
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=4096, checkpoint=2048, keep=1),
        ),
        changes,
    )
