"""Text that occurred before, word for word."""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

from data.curation.transform import Transform, Verdict
from data.document import Document

_PARAGRAPH_BREAK = re.compile(r"(\n(?:[^\S\n]*\n)+)")


@dataclass(frozen=True)
class ExactDeduplicate(Transform):
    """Drops every document but the first of those that are equal up to case, white space and
    compatibility forms (NFKC)."""

    def start(self) -> Callable[[Document], Verdict]:
        seen: set[bytes] = set()

        def judge(document: Document) -> Verdict:
            if _seen_before(document.text, seen):
                return Verdict(None, {"duplicate document": 1})
            return Verdict(document)

        return judge


@dataclass(frozen=True)
class DeduplicateParagraphs(Transform):
    """Removes every paragraph but the first of those that are equal as in `ExactDeduplicate`.

    A paragraph is what stands between blank lines; those of fewer than `characters` characters
    are left alone, since headings and short remarks repeat for good reasons. A document that
    has nothing left is dropped.

    Raises:
      ValueError: when `characters` is less than 1.
    """

    characters: int = 100

    def __post_init__(self) -> None:
        if self.characters < 1:
            raise ValueError(
                f"DeduplicateParagraphs.characters is {self.characters}, but must be at least 1"
            )

    def start(self) -> Callable[[Document], Verdict]:
        seen: set[bytes] = set()

        def judge(document: Document) -> Verdict:
            # Paragraphs at even places, the breaks that follow them at odd ones.
            pieces = [*_PARAGRAPH_BREAK.split(document.text), ""]
            kept, removed = [], []
            for paragraph, gap in zip(pieces[::2], pieces[1::2], strict=True):
                if len(paragraph) >= self.characters and _seen_before(paragraph, seen):
                    removed.append(paragraph)
                else:
                    kept.append(paragraph + gap)
            if not removed:
                return Verdict(document)
            text = "".join(kept).rstrip("\n")
            reasons = {"duplicate paragraph": len(removed)}
            if not text.strip():
                return Verdict(None, reasons)
            return Verdict(replace(document, text=text), reasons, removed)

        return judge


def _seen_before(text: str, seen: set[bytes]) -> bool:
    """Whether an equal text is in `seen`, to which this one is added."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    # 16 bytes: among 10^12 texts, a false match has a chance of about 10^-15.
    digest = hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest()
    known = digest in seen
    seen.add(digest)
    return known
