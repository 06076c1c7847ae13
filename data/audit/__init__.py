"""What a corpus says of people and of tests: tables from the tallies of curation."""

from data.audit.contamination import SetFound, contamination

__all__ = ["SetFound", "contamination"]
