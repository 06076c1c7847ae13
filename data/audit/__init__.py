"""What a corpus says of people and of tests: tables from the tallies of curation."""

from data.audit.balance import Spread, spread
from data.audit.bias import Association, GroupCount, associations, matrix, representation
from data.audit.contamination import SetFound, contamination
from data.audit.lexicon import Lexicon

__all__ = [
    "Association",
    "GroupCount",
    "Lexicon",
    "SetFound",
    "Spread",
    "associations",
    "contamination",
    "matrix",
    "representation",
    "spread",
]
