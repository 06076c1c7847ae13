"""What happens to documents before they become tokens, and the account of it."""

from data.curation.account import CurationReport, Sample, TransformReport
from data.curation.bad_input import BadInput, Refuse, Skip
from data.curation.clean import Clean
from data.curation.duplicates import DeduplicateLines, DeduplicateParagraphs, ExactDeduplicate
from data.curation.fix_text import FixText
from data.curation.html_to_text import HtmlToText
from data.curation.invisible import RemoveInvisible
from data.curation.language import IdentifyLanguage, Language
from data.curation.length import MinLength
from data.curation.near_duplicates import NearDuplicates
from data.curation.quality import (
    AtLeast,
    Between,
    C4Rules,
    FineWebQuality,
    GopherQuality,
    GopherRepetition,
    KeepRule,
    NGramLimit,
    ParetoKeep,
    Perplexity,
    QualityScore,
    Scorer,
)
from data.curation.substrings import Substrings
from data.curation.transform import BatchTransform, CorpusTransform, DocumentTransform, Transform, Verdict

__all__ = [
    "AtLeast",
    "BadInput",
    "BatchTransform",
    "Between",
    "C4Rules",
    "Clean",
    "CorpusTransform",
    "CurationReport",
    "DeduplicateLines",
    "DeduplicateParagraphs",
    "DocumentTransform",
    "ExactDeduplicate",
    "FineWebQuality",
    "FixText",
    "GopherQuality",
    "GopherRepetition",
    "HtmlToText",
    "IdentifyLanguage",
    "KeepRule",
    "Language",
    "MinLength",
    "NGramLimit",
    "ParetoKeep",
    "Perplexity",
    "QualityScore",
    "NearDuplicates",
    "Refuse",
    "RemoveInvisible",
    "Sample",
    "Scorer",
    "Skip",
    "Substrings",
    "Transform",
    "TransformReport",
    "Verdict",
]
