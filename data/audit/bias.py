"""Representation and association of groups of people, from the tallies of `BiasAudit`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Church and Hanks (1990), section 5: the association ratio is unstable for counts of about five or fewer.
_FEW = 5
_TOGETHER = " & "


@dataclass(frozen=True)
class GroupCount:
    """How often a corpus has terms of a group.

    Attributes:
      lexicon, group: which.
      terms: occurrences.
      share: of all occurrences of terms of the lexicon, in [0, 1].
      per_million: occurrences in a million words.
      documents: documents with at least one.
      document_share: of all documents, in [0, 1].
    """

    lexicon: str
    group: str
    terms: int
    share: float
    per_million: float
    documents: int
    document_share: float


@dataclass(frozen=True)
class Association:
    """How often terms of an identity group and an attribute group occur together.

    Attributes:
      identity, attribute: "LEXICON/GROUP".
      together: windows with both.
      with_identity, with_attribute, windows: windows with the one, the other, and all.
    """

    identity: str
    attribute: str
    together: int
    with_identity: int
    with_attribute: int
    windows: int

    @property
    def expected(self) -> float:
        """How many windows would have both if neither knew of the other."""
        return self.with_identity * self.with_attribute / self.windows

    @property
    def pmi(self) -> float:
        """Pointwise mutual information in bits, log2(p(x, y) / (p(x) p(y))), of windows (Church and Hanks, Word
        association norms, mutual information, and lexicography, 1990, section 3); minus infinity for none together.
        """
        return math.log2(self.together / self.expected) if self.together else -math.inf

    @property
    def is_stable(self) -> bool:
        """Whether there is enough to trust the information: more than five together, observed or expected."""
        return max(self.together, self.expected) > _FEW


def representation(tallies: Mapping[str, int]) -> list[GroupCount]:
    """One row for each group that occurs, by lexicon, the most frequent first."""
    terms = _numbers(tallies, "terms")
    documents = _numbers(tallies, "documents")
    of_lexicon: dict[str, int] = {}
    for name, number in terms.items():
        lexicon = name.partition("/")[0]
        of_lexicon[lexicon] = of_lexicon.get(lexicon, 0) + number
    rows = []
    for name, number in terms.items():
        lexicon, _, group = name.partition("/")
        rows.append(
            GroupCount(
                lexicon, group, number,
                share=number / of_lexicon[lexicon],
                per_million=1e6 * number / tallies["words"],
                documents=documents[name],
                document_share=documents[name] / tallies["documents"],
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row.lexicon, -row.terms, row.group))


def associations(tallies: Mapping[str, int]) -> list[Association]:
    """One row for each pair of an identity group and an attribute group that occurs together anywhere, and for each
    other attribute of an identity that does, so that the rows of an identity lexicon can be compared.
    """
    windows = _numbers(tallies, "windows")
    pairs = {tuple(name.split(_TOGETHER)): number for name, number in windows.items() if _TOGETHER in name}
    lexicons = {(identity.partition("/")[0], attribute) for identity, attribute in pairs}
    rows = []
    for lexicon, attribute in lexicons:
        for identity, number in windows.items():
            if _TOGETHER not in identity and identity.partition("/")[0] == lexicon:
                together = pairs.get((identity, attribute), 0)
                rows.append(Association(identity, attribute, together, number, windows[attribute], tallies["windows"]))
    return sorted(rows, key=lambda row: (row.attribute, row.identity))


def matrix(
    rows: list[Association], identities: str, attributes: str
) -> tuple[list[str], list[str], list[list[float | None]]]:
    """The pointwise mutual information of two lexicons as a plot wants it.

    Args:
      rows: what `associations` gave.
      identities, attributes: the names of the lexicons.

    Returns:
      The identity groups (rows), the attribute groups (columns), and the information in bits, None where there is too
      little to trust it.
    """
    parted = [(row, row.identity.partition("/"), row.attribute.partition("/")) for row in rows]
    chosen = [(row, one[2], other[2]) for row, one, other in parted if (one[0], other[0]) == (identities, attributes)]
    down, across = sorted({one for _, one, _ in chosen}), sorted({other for *_, other in chosen})
    bits = {(one, other): row.pmi for row, one, other in chosen if row.is_stable and row.together}
    return down, across, [[bits.get((identity, attribute)) for attribute in across] for identity in down]


def _numbers(tallies: Mapping[str, int], kind: str) -> dict[str, int]:
    """The tallies NAME/kind by name."""
    return {name.removesuffix(f"/{kind}"): number for name, number in tallies.items() if name.endswith(f"/{kind}")}
