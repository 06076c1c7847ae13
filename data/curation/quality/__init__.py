"""Rules and models that tell good text from bad."""

from data.curation.quality.c4 import C4Rules
from data.curation.quality.classifier import QualityScore
from data.curation.quality.fineweb import FineWebQuality
from data.curation.quality.gopher import GopherQuality
from data.curation.quality.keep import AtLeast, KeepRule, ParetoKeep
from data.curation.quality.perplexity import Between, Perplexity, Scorer
from data.curation.quality.repetition import GopherRepetition, NGramLimit

__all__ = [
    "AtLeast",
    "Between",
    "C4Rules",
    "FineWebQuality",
    "GopherQuality",
    "GopherRepetition",
    "KeepRule",
    "NGramLimit",
    "ParetoKeep",
    "Perplexity",
    "QualityScore",
    "Scorer",
]
