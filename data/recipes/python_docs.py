"""The documentation inside Python, cleaned and deduplicated: a corpus on every machine, to try things on."""

from data.curation import Clean, DeduplicateParagraphs, ExactDeduplicate, MinLength
from data.curation.curation import Curation, Statement
from data.sources import PythonDocs


def curation() -> Curation:
    """Language reference and docstrings of the standard library."""
    return Curation(
        source=PythonDocs(),
        transforms=(Clean(), MinLength(40), ExactDeduplicate(), DeduplicateParagraphs()),
        statement=Statement(
            intended_use="First runs and tests; about two megabytes of English technical prose.",
            gaps="One subject, one style; what it holds depends on the version of Python.",
        ),
    )
