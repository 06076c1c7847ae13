"""What happens to documents before they become tokens, and the account of it."""

from data.curation.clean import Clean
from data.curation.duplicates import DeduplicateParagraphs, ExactDeduplicate
from data.curation.length import MinLength
from data.curation.report import CurationReport, Sample, TransformReport
from data.curation.transform import Curated, Transform, Verdict, curate

__all__ = [
    "Clean",
    "Curated",
    "CurationReport",
    "DeduplicateParagraphs",
    "ExactDeduplicate",
    "MinLength",
    "Sample",
    "Transform",
    "TransformReport",
    "Verdict",
    "curate",
]
