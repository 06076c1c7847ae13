"""The quality rules that FineWeb added to those of C4 and Gopher."""

from collections.abc import Callable
from dataclasses import dataclass

from data.curation.quality.repetition import duplicate_shares
from data.curation.quality.text_parts import TextParts, text_parts
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document

# The ends of sentences in scripts in wide use, from Unicode's property Sentence_Terminal.
_SENTENCE_ENDS = (".", "!", "?", "‼", "‽", "⁇", "⁈", "⁉", "։", "؟", "۔", "।", "॥", "။", "።", "፧", "។", "៕", "᠃",
                  "。", "！", "？", "．", "｡", "﹒", "﹖", "﹗")  # fmt: skip


@dataclass(frozen=True)
class FineWebQuality(DocumentTransform):
    """Drops documents that are lists and leftovers rather than prose, by the first of these rules that they break.

    Rules and constants: Penedo et al., The FineWeb datasets, 2024 (arXiv:2406.17557), section 3.6: at most 0.12 of
    the lines end a sentence, at least 0.1 of the characters are in duplicate lines, at least 0.67 of the lines are
    shorter than 30 characters. The fourth rule, more than 0.3 newlines for each word, is only in the code
    (datatrove's `FineWebQualityFilter`), whose default for duplicate lines is 0.01. Lines are those that are not
    blank.

    Attributes:
      sentence_ends: a larger share of lines ends with one of `marks`.
      duplicate_characters: a smaller share of characters is in lines that occurred before.
      short_lines: a smaller share of lines is shorter than...
      short: ...so many characters.
      newlines: the largest number of newlines for each word.
      marks: what ends a sentence.
    """

    sentence_ends: float = 0.12
    duplicate_characters: float = 0.1
    short_lines: float = 0.67
    short: int = 30
    newlines: float = 0.3
    marks: tuple[str, ...] = _SENTENCE_ENDS

    def start(self) -> Callable[[Document], Verdict]:
        def judge(document: Document) -> Verdict:
            broken = self._broken(text_parts(document.text))
            return Verdict(None, {f"fineweb: {broken}": 1}) if broken else Verdict(document)

        return judge

    def _broken(self, parts: TextParts) -> str | None:
        lines = parts.lines
        if not lines:
            return "no lines"
        if sum(line.endswith(self.marks) for line in lines) / len(lines) <= self.sentence_ends:
            return "lines without sentence ends"
        if sum(len(line) < self.short for line in lines) / len(lines) >= self.short_lines:
            return "short lines"
        if duplicate_shares(lines)[1] >= self.duplicate_characters:
            return "characters in duplicate lines"
        if parts.text.count("\n") / max(len(parts.words), 1) > self.newlines:
            return "too many newlines"
        return None
