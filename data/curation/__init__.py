"""What happens to documents before they become tokens, and the account of it."""

from data.curation.account import CurationReport, Sample, TransformReport
from data.curation.bad_input import BadInput, Refuse, Skip
from data.curation.clean import Clean
from data.curation.duplicates import DeduplicateLines, DeduplicateParagraphs, ExactDeduplicate
from data.curation.length import MinLength
from data.curation.near_duplicates import NearDuplicates
from data.curation.substrings import Substrings
from data.curation.transform import BatchTransform, CorpusTransform, DocumentTransform, Transform, Verdict

__all__ = [
    "BadInput",
    "BatchTransform",
    "Clean",
    "CorpusTransform",
    "CurationReport",
    "DeduplicateLines",
    "DeduplicateParagraphs",
    "DocumentTransform",
    "ExactDeduplicate",
    "MinLength",
    "NearDuplicates",
    "Refuse",
    "Sample",
    "Skip",
    "Substrings",
    "Transform",
    "TransformReport",
    "Verdict",
]
