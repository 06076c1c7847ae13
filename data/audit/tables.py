"""The audits as tables of a data card."""

from collections.abc import Mapping

from data.audit.bias import associations, matrix, representation
from data.audit.contamination import contamination
from data.table import Table


def representation_tables(tallies: Mapping[str, int]) -> list[Table]:
    """How often each group is spoken of, a table for each lexicon."""
    rows = representation(tallies)
    header = ("Group", "Terms", "% of terms", "Per million words", "Documents", "% of documents")
    tables = []
    for lexicon in dict.fromkeys(row.lexicon for row in rows):
        cells = tuple(
            (row.group, row.terms, 100 * row.share, row.per_million, row.documents, 100 * row.document_share)
            for row in rows
            if row.lexicon == lexicon
        )
        tables.append(Table(f"Terms of {_title(lexicon)}", header, cells, bars="% of terms"))
    return tables


def association_tables(tallies: Mapping[str, int]) -> list[Table]:
    """What is said beside each group, a table for each lexicon of groups and each of attributes."""
    rows = associations(tallies)
    tables = []
    for one, other in dict.fromkeys((r.identity.partition("/")[0], r.attribute.partition("/")[0]) for r in rows):
        down, across, bits = matrix(rows, one, other)
        lines = zip(down, bits, strict=True)
        cells = tuple((group, *line) for group, line in lines if any(value is not None for value in line))
        if cells:
            title = f"Association of {_title(one)} with {_title(other)}"
            note = (
                "Pointwise mutual information in bits (Church and Hanks 1990): 1 is twice as often together as by"
                " chance, -1 half as often; empty where five or fewer would tell."
            )
            tables.append(Table(title, ("Group", *across), cells, shaded=tuple(across), note=note))
    return tables


def contamination_tables(tallies: Mapping[str, int]) -> list[Table]:
    """What was found of each evaluation set, in one table."""
    header = ("Evaluation set", "N-gram", "Examples", "Too short to find", "Found", "% found", "Documents")
    rows = tuple(
        (row.name, row.n, row.examples, row.too_short, row.found, 100 * row.share, row.documents)
        for row in contamination(tallies)
    )
    note = "Found: examples of which an n-gram of words was in the corpus. % of those that are long enough."
    return [Table("Evaluation sets", header, rows, bars="% found", note=note)] if rows else []


def _title(lexicon: str) -> str:
    return lexicon.replace("_", " ")
