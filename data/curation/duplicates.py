"""Text that occurred before, word for word: whole documents, paragraphs, lines."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, UInt64

from data.curation.join import FirstOccurrence
from data.curation.transform import CorpusTransform, Verdict
from data.document import Document
from data.sources.base import Source


@dataclass(frozen=True)
class ExactDeduplicate(CorpusTransform):
    """Drops every document but the first of those that are equal up to case, white space and compatibility forms
    (NFKC).

    Attributes:
      against: an earlier corpus, whose documents count as seen before, or None.
    """

    SECTION: ClassVar[str] = "Duplicates"
    against: Source | None = None

    @property
    def join(self) -> FirstOccurrence:
        return FirstOccurrence()

    def start_signature(self) -> Callable[[Document], UInt64[np.ndarray, "1 2"]]:
        return lambda document: hashes([document.text])

    def start_apply(self) -> Callable[[Document, Bool[np.ndarray, "1"]], Verdict]:
        def judge(document: Document, seen: Bool[np.ndarray, "1"]) -> Verdict:
            return Verdict(None, {"duplicate document": 1}) if seen[0] else Verdict(document)

        return judge

    def earlier(self) -> Source | None:
        return self.against


class _DeduplicatePieces(CorpusTransform):
    """Removes every piece but the first of those that are equal as in `ExactDeduplicate`."""

    SECTION: ClassVar[str] = "Duplicates"
    BREAKS: ClassVar[re.Pattern[str]]
    REASON: ClassVar[str]
    characters: int
    against: Source | None

    def __post_init__(self) -> None:
        if self.characters < 1:
            raise ValueError(f"{type(self).__name__}.characters is {self.characters}, but must be at least 1")

    @property
    def join(self) -> FirstOccurrence:
        return FirstOccurrence()

    def start_signature(self) -> Callable[[Document], UInt64[np.ndarray, "keys 2"]]:
        return _Pieces(self.BREAKS, self.characters, self.REASON).signature

    def start_apply(self) -> Callable[[Document, Bool[np.ndarray, " keys"]], Verdict]:
        return _Pieces(self.BREAKS, self.characters, self.REASON).apply

    def earlier(self) -> Source | None:
        return self.against


@dataclass(frozen=True)
class DeduplicateParagraphs(_DeduplicatePieces):
    """Removes every paragraph but the first of those that are equal as in `ExactDeduplicate`.

    A paragraph is what stands between blank lines. A document that has nothing left is dropped.

    Attributes:
      characters: shorter ones are left alone, since headings and short remarks repeat for good reasons.
      against: an earlier corpus, whose paragraphs count as seen before, or None.

    Raises:
      ValueError: when `characters` is less than 1.
    """

    BREAKS: ClassVar[re.Pattern[str]] = re.compile(r"(\n(?:[^\S\n]*\n)+)")
    REASON: ClassVar[str] = "duplicate paragraph"
    characters: int = 100
    against: Source | None = None


@dataclass(frozen=True)
class DeduplicateLines(_DeduplicatePieces):
    """Removes every line but the first of those that are equal as in `ExactDeduplicate`.

    A document that has nothing left is dropped.

    Attributes:
      characters: shorter ones are left alone.
      against: an earlier corpus, whose lines count as seen before, or None.

    Raises:
      ValueError: when `characters` is less than 1.
    """

    BREAKS: ClassVar[re.Pattern[str]] = re.compile(r"(\n)")
    REASON: ClassVar[str] = "duplicate line"
    characters: int = 50
    against: Source | None = None


class _Pieces:
    """The pieces of a text between breaks, of which those that occurred before are removed."""

    def __init__(self, breaks: re.Pattern[str], characters: int, reason: str) -> None:
        self._breaks, self._characters, self._reason = breaks, characters, reason

    def signature(self, document: Document) -> UInt64[np.ndarray, "keys 2"]:
        pieces = self._breaks.split(document.text)[::2]
        return hashes([piece for piece in pieces if len(piece) >= self._characters])

    def apply(self, document: Document, seen: Bool[np.ndarray, " keys"]) -> Verdict:
        if not seen.any():
            return Verdict(document)
        # Pieces at even places, the breaks that follow them at odd ones.
        parts = [*self._breaks.split(document.text), ""]
        findings = iter(seen.tolist())
        kept, removed = [], []
        for piece, gap in zip(parts[::2], parts[1::2], strict=True):
            if len(piece) >= self._characters and next(findings):
                removed.append(piece)
            else:
                kept.append(piece + gap)
        text = "".join(kept).rstrip("\n")
        reasons = {self._reason: len(removed)}
        if not text.strip():
            return Verdict(None, reasons)
        return Verdict(replace(document, text=text), reasons, removed)


def hashes(texts: Sequence[str]) -> UInt64[np.ndarray, "texts 2"]:
    """128-bit hashes of texts, equal for texts that are equal up to case, white space and compatibility forms.

    Among 10^12 different texts, two with equal hashes have a chance of about 10^-15.
    """
    digests = []
    for text in texts:
        plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
        words = plain.casefold().split()
        digests.append(hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest())
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
