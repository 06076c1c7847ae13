"""Counterfactual data: documents in which genders are exchanged, in the place of others or beside them."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from data.curation.bias.pairing import Names, PairedNames, read_pairs
from data.curation.bias.swap import Swap
from data.curation.chance import chance
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document
from data.pinned_file import PinnedFile

GENDERED_WORDS = "gendered_words.tsv"


class SwapMode(abc.ABC):
    """Which documents are exchanged, and whether they stay beside: a frozen dataclass."""

    @abc.abstractmethod
    def chosen(self, document: Document) -> bool:
        """Whether a document is exchanged at all."""

    @abc.abstractmethod
    def settle(self, document: Document, text: str, words: int) -> Verdict:
        """The verdict on a document whose exchanged text differs from its own in so many words."""


@dataclass(frozen=True)
class Augment(SwapMode):
    """Every document stays, and one with exchanged genders follows it, called ID#swapped (Lu et al., Gender bias in
    neural natural language processing, 2018, arXiv:1807.11714: counterfactual data augmentation).
    """

    def chosen(self, document: Document) -> bool:
        return True

    def settle(self, document: Document, text: str, words: int) -> Verdict:
        swapped = replace(document, text=text, id=f"{document.id}#swapped")
        return Verdict(document, added=[swapped], tallies={"words swapped": words})


@dataclass(frozen=True)
class Substitute(SwapMode):
    """A share of documents, chosen by their ids, is exchanged in place, which keeps the size of the corpus and repeats
    no text (Hall Maudslay et al., It's all in the name, 2019, arXiv:1909.00871: counterfactual data substitution).

    Attributes:
      share: in [0, 1]; one half in the paper.
      seed: of the choice.

    Raises:
      ValueError: when the share is outside.
    """

    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"Substitute.share is {self.share}, but must be in [0, 1]")

    def chosen(self, document: Document) -> bool:
        return chance(self.seed, document) < self.share

    def settle(self, document: Document, text: str, words: int) -> Verdict:
        return Verdict(replace(document, text=text), {"genders swapped": 1}, tallies={"words swapped": words})


@dataclass(frozen=True)
class CounterfactualSwap(DocumentTransform):
    """Exchanges the genders of English documents: pronouns with grammatical agreement, gendered nouns, given names.

    Names have the same counterpart wherever they stand, so that who is spoken of stays one person. Documents without
    a word to exchange, and those in another language (other than "unknown"), are left alone. It is a rule, not a
    reader: a name that is also a surname or a place is exchanged too, and so is the king of a history book.

    Attributes:
      mode: in place of the document, or beside it.
      words: a tab-separated file of gendered words with the columns "male" and "female", or None for the one that
        comes along. Pronouns need not be in it, but for those with a single counterpart (he, himself).
      names: given names.
    """

    SECTION: ClassVar[str] = "Balance"

    mode: SwapMode = Substitute()
    words: PinnedFile | None = None
    names: Names = PairedNames()

    def start(self) -> Callable[[Document], Verdict]:
        swap = Swap(read_pairs(self.words, GENDERED_WORDS), self.names.pairs())

        def judge(document: Document) -> Verdict:
            english = document.language == "unknown" or document.language.partition("-")[0].lower() == "en"
            if not english or not self.mode.chosen(document):
                return Verdict(document)
            text, words = swap(document.text)
            return self.mode.settle(document, text, words) if words else Verdict(document)

        return judge
