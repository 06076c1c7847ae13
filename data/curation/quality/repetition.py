"""The repetition rules of Gopher: text that says the same over and over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from data.curation.quality.text_parts import TextParts, text_parts
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document


@dataclass(frozen=True)
class NGramLimit:
    """The largest share of a document's characters that n-grams of `n` words may hold.

    Raises:
      ValueError: when `n` is less than 2.
    """

    n: int
    share: float

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(f"NGramLimit.n is {self.n}, but must be at least 2")


_TOP = (NGramLimit(2, 0.20), NGramLimit(3, 0.18), NGramLimit(4, 0.16))
_DUPLICATE = (
    NGramLimit(5, 0.15),
    NGramLimit(6, 0.14),
    NGramLimit(7, 0.13),
    NGramLimit(8, 0.12),
    NGramLimit(9, 0.11),
    NGramLimit(10, 0.10),
)


@dataclass(frozen=True)
class GopherRepetition(DocumentTransform):
    """Drops documents that repeat themselves, by the first of these rules that they break.

    Rules and constants: Rae et al., 2021 (arXiv:2112.11446), appendix A1.1, "Repetition removal", table A1. A line,
    paragraph or n-gram counts as a duplicate from its second occurrence on. Shares of characters are those of lines,
    of paragraphs, and, for n-grams, of the words of `TextParts`: a character in n-grams that overlap counts once. Of
    n-grams that are equally frequent the longest is the top one; one that occurs once is none.

    Attributes:
      lines, line_characters: the largest share of lines that are duplicates, and of characters in them.
      paragraphs, paragraph_characters: the same of paragraphs.
      top: limits for all occurrences of the most frequent n-gram.
      duplicate: limits for all duplicate n-grams.
    """

    lines: float = 0.30
    line_characters: float = 0.20
    paragraphs: float = 0.30
    paragraph_characters: float = 0.20
    top: tuple[NGramLimit, ...] = _TOP
    duplicate: tuple[NGramLimit, ...] = _DUPLICATE

    def start(self) -> Callable[[Document], Verdict]:
        def judge(document: Document) -> Verdict:
            broken = self._broken(text_parts(document.text))
            return Verdict(None, {f"gopher: {broken}": 1}) if broken else Verdict(document)

        return judge

    def _broken(self, parts: TextParts) -> str | None:
        share, characters = duplicate_shares(parts.paragraphs)
        if share > self.paragraphs:
            return "duplicate paragraphs"
        if characters > self.paragraph_characters:
            return "characters in duplicate paragraphs"
        share, characters = duplicate_shares(parts.lines)
        if share > self.lines:
            return "duplicate lines"
        if characters > self.line_characters:
            return "characters in duplicate lines"
        return self._repeated(parts)

    def _repeated(self, parts: TextParts) -> str | None:
        tops = {limit.n: limit.share for limit in self.top}
        duplicates = {limit.n: limit.share for limit in self.duplicate}
        spans, characters = _Spans(parts.ids, parts.lengths), parts.characters
        for n in range(2, max((*tops, *duplicates), default=0) + 1):
            spans.grow()
            if not len(spans):
                return None
            if n in tops and spans.hold_more(spans.top(), tops[n], characters):
                return f"top {n}-gram"
            if n in duplicates and spans.hold_more(spans.duplicates(), duplicates[n], characters):
                return f"duplicate {n}-grams"
        return None


class _Spans:
    """The n-grams of a text that occur at least twice, for one n after another.

    An n-gram is known by a number: equal numbers, equal n-grams. With one word more, the number of a pair (n-gram,
    next word) is its place among the different ones, so that no two ever share one. What occurs once is let go,
    since it does not occur twice with one more word either: few are left soon.
    """

    def __init__(self, ids: Int64[np.ndarray, " words"], lengths: Int64[np.ndarray, " words"]) -> None:
        self._words, self._lengths = ids, lengths
        self._different = int(ids.max(initial=-1)) + 1
        self._ends = np.concatenate([[0], np.cumsum(lengths)])
        self._n = 1
        # Where they begin, ordered by number; of equal ones, in the order of the text.
        self._at: Int64[np.ndarray, " spans"] = np.arange(len(ids))
        self._numbers: Int64[np.ndarray, " spans"] = ids
        self._again: Bool[np.ndarray, " spans"] = np.zeros(len(ids), bool)

    def __len__(self) -> int:
        return len(self._at)

    def grow(self) -> None:
        """Goes on to n-grams of one more word."""
        fits = self._at < len(self._words) - self._n
        at, numbers = self._at[fits], self._numbers[fits]
        pairs = numbers * self._different + self._words[at + self._n]
        self._n += 1
        order = pairs.argsort(kind="stable")
        pairs = pairs[order]
        again = np.zeros(len(pairs), bool)
        np.equal(pairs[1:], pairs[:-1], out=again[1:])
        twice = again.copy()
        twice[:-1] |= again[1:]
        self._at, self._again = at[order][twice], again[twice]
        self._numbers = np.cumsum(~self._again) - 1

    def top(self) -> Int64[np.ndarray, " starts"]:
        """Where the most frequent n-gram begins; of several the longest, and of those the first of the text."""
        counts, firsts = np.bincount(self._numbers), self._at[~self._again]
        most = np.flatnonzero(counts == counts.max())
        sizes = self._sizes(firsts[most])
        longest = most[sizes == sizes.max()]
        return self._at[self._numbers == longest[firsts[longest].argmin()]]

    def duplicates(self) -> Int64[np.ndarray, " starts"]:
        """Where n-grams begin that occurred before."""
        return self._at[self._again]

    def hold_more(self, starts: Int64[np.ndarray, " starts"], share: float, characters: int) -> bool:
        """Whether the n-grams that begin there hold more than a share of the characters."""
        if self._sizes(starts).sum() / characters <= share:
            return False
        # Some overlap perhaps, and what is in two of them must count once.
        steps = np.zeros(len(self._words) + 1, np.int64)
        np.add.at(steps, starts, 1)
        np.add.at(steps, starts + self._n, -1)
        return bool(self._lengths[steps.cumsum()[:-1] > 0].sum() / characters > share)

    def _sizes(self, starts: Int64[np.ndarray, " starts"]) -> Int64[np.ndarray, " starts"]:
        return self._ends[starts + self._n] - self._ends[starts]


def duplicate_shares(pieces: Sequence[str]) -> tuple[float, float]:
    """The share of pieces that occurred before among them, and the share of characters in those."""
    different = set(pieces)
    if len(different) == len(pieces):
        return 0.0, 0.0
    characters = sum(map(len, pieces))
    # Subtracted before they are divided, so that a share that is exactly at a limit compares equal to it.
    again = characters - sum(map(len, different))
    return (len(pieces) - len(different)) / len(pieces), again / max(characters, 1)
