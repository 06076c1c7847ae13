"""Evaluation sets in the corpus: found by n-grams, told of, and taken out."""

from data.curation.contamination.decontaminate import (
    ContaminationAction,
    CutOut,
    Decontaminate,
    DropContaminated,
)
from data.curation.contamination.evaluation_set import EvaluationSet, FixedSize, GramSize, SizeByLength

__all__ = [
    "ContaminationAction",
    "CutOut",
    "Decontaminate",
    "DropContaminated",
    "EvaluationSet",
    "FixedSize",
    "GramSize",
    "SizeByLength",
]
