"""How a corpus speaks of groups of people: counts that change nothing."""

import abc
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

from data.audit.lexicon import Lexicon
from data.audit.tables import association_tables, representation_tables
from data.curation.bias.term_index import TermIndex, tokens
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document
from data.table import Table


class Window(abc.ABC):
    """Within what two terms count as occurring together: a frozen dataclass."""

    @abc.abstractmethod
    def number(self, word: int, sentence: int) -> int:
        """The window of a word, from its number and that of its sentence."""

    @abc.abstractmethod
    def count(self, words: int, sentences: int) -> int:
        """How many windows a document has."""


@dataclass(frozen=True)
class WithinDocument(Window):
    """The document is one window."""

    def number(self, word: int, sentence: int) -> int:
        return 0

    def count(self, words: int, sentences: int) -> int:
        return int(words > 0)


@dataclass(frozen=True)
class WithinSentence(Window):
    """Each sentence is a window: what stands between `.`, `!`, `?` and blank lines, if it has a word."""

    def number(self, word: int, sentence: int) -> int:
        return sentence

    def count(self, words: int, sentences: int) -> int:
        return sentences


@dataclass(frozen=True)
class WithinWords(Window):
    """So many words one after another are a window; windows do not overlap, so that counts make a contingency table.

    Attributes:
      words: how many.

    Raises:
      ValueError: when that is less than 2.
    """

    words: int = 50

    def __post_init__(self) -> None:
        if self.words < 2:
            raise ValueError(f"WithinWords.words is {self.words}, but must be at least 2")

    def number(self, word: int, sentence: int) -> int:
        return word // self.words

    def count(self, words: int, sentences: int) -> int:
        return -(-words // self.words)


@dataclass(frozen=True)
class BiasAudit(DocumentTransform):
    """Counts terms of lexicons, and how often identity terms and attributes occur together. Changes nothing.

    Whole words count, in any case; a term can have several words. A count of words is no judgement: terms have other
    meanings ("Polish", "polish"), and who is spoken of without a term of the list is not seen.

    Tallies: "documents", "words", "windows"; "LEXICON/GROUP/terms", ".../documents", ".../windows" with a term of
    the group; "LEXICON/GROUP & LEXICON/GROUP/windows" with terms of an identity group and an attribute group.
    `data.audit.bias` makes shares, rates and pointwise mutual information of them.

    Attributes:
      identities: lexicons of groups of people.
      attributes: lexicons of what may be said of them; a lexicon of insults gives the rate of toxic terms.
      window: within what terms occur together.

    Raises:
      ValueError: when two lexicons have the same name.
    """

    SECTION: ClassVar[str] = "Bias audit"

    identities: tuple[Lexicon, ...] = (
        Lexicon("gender"), Lexicon("nationality"), Lexicon("religion"), Lexicon("age"), Lexicon("disability"),
    )  # fmt: skip
    attributes: tuple[Lexicon, ...] = (
        Lexicon("profession"), Lexicon("family_career"), Lexicon("pleasant_unpleasant"), Lexicon("insults"),
    )  # fmt: skip
    window: Window = WithinSentence()

    def __post_init__(self) -> None:
        names = [lexicon.name for lexicon in (*self.identities, *self.attributes)]
        if twice := [name for name, number in Counter(names).items() if number > 1]:
            raise ValueError(f"BiasAudit has two lexicons called '{twice[0]}'; give them different names")

    def start(self) -> Callable[[Document], Verdict]:
        index = TermIndex((*self.identities, *self.attributes))
        identities = frozenset(lexicon.name for lexicon in self.identities)

        def judge(document: Document) -> Verdict:
            return Verdict(document, tallies=_tallies(tokens(document.text), index, identities, self.window))

        return judge

    def tables(self, report: Mapping[str, Any]) -> Sequence[Table]:
        return [*representation_tables(report["tallies"]), *association_tables(report["tallies"])]


def _tallies(words: Sequence[str], index: TermIndex, identities: frozenset[str], window: Window) -> dict[str, int]:
    # A token that is no word ends a sentence; several in a row end one.
    breaks = [place for place, word in enumerate(words) if not word[0].isalnum()]
    filled = [-1, *breaks, len(words)]
    starts = [start for start, end in zip(filled, filled[1:], strict=False) if end > start + 1]
    terms: Counter[str] = Counter()
    groups: dict[int, dict[str, set[int]]] = {}
    for place, owners in index.find(words):
        terms.update(owners)
        number = window.number(place - bisect_left(breaks, place), bisect_left(starts, place) - 1)
        present = groups.setdefault(number, {})
        for owner in owners:
            present.setdefault(owner, set()).add(place)
    tallies = Counter(
        {"documents": 1, "words": len(words) - len(breaks)}
        | {"windows": window.count(len(words) - len(breaks), len(starts))}
    )
    for owner, number in terms.items():
        tallies[f"{owner}/terms"] = number
        tallies[f"{owner}/documents"] = 1
    for present in groups.values():
        tallies.update(f"{owner}/windows" for owner in present)
        people = [owner for owner in present if owner.partition("/")[0] in identities]
        others = [owner for owner in present if owner.partition("/")[0] not in identities]
        tallies.update(
            f"{one} & {other}/windows"
            for one, other in product(people, others)
            # A word that is in both lexicons does not occur together with itself.
            if len(present[one] | present[other]) > 1
        )
    return tallies
