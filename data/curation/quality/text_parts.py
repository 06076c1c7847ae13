"""Words, lines and paragraphs of a text, split once for all rules that look at them."""

import itertools
import re
import unicodedata
from collections import defaultdict
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Int64

# A chain sends 64 documents at a time through one transform after another: enough to find them again.
_REMEMBERED = 128
# Longer texts are split anew each time rather than held.
_HELD = 1 << 20
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_APOSTROPHES = "'’"
_JOINERS = "\u200c\u200d"


class TextParts:
    """The parts of one text, each found when it is first asked for.

    A word is a run of letters, marks, digits and connectors (Unicode categories L, M, N and Pc, and the zero-width
    joiners); apostrophes vanish. So `don't` is one word, `well-known` are two, and punctuation is none. Languages
    that put no spaces between words are not split.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """The words in their order."""
        text = self.text
        if text.isascii():
            return text.translate(_ASCII).split()
        # A few passes in C over the whole text are faster than one look at each character.
        for character in set(text):
            plain = _plain(character)
            if plain != character:
                text = text.replace(character, plain)
        return text.split()

    @cached_property
    def characters(self) -> int:
        """How many characters the words have."""
        return len("".join(self.words))

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank, without white space at their ends."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines."""
        return _PARAGRAPH_BREAK.split(self.text.strip())

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " words"]:
        """How many characters each word has."""
        return np.fromiter(map(len, self.words), np.int64, len(self.words))

    @cached_property
    def ids(self) -> Int64[np.ndarray, " words"]:
        """A number for each word, from 0, equal where words are."""
        numbers: dict[str, int] = defaultdict(itertools.count().__next__)
        return np.fromiter(map(numbers.__getitem__, self.words), np.int64, len(self.words))


def text_parts(text: str) -> TextParts:
    """The parts of a text; of the last texts that were asked for, the same object again."""
    return _remembered(text) if len(text) <= _HELD else TextParts(text)


@lru_cache(_REMEMBERED)
def _remembered(text: str) -> TextParts:
    return TextParts(text)


@lru_cache(1 << 16)
def _plain(character: str) -> str:
    if character in _APOSTROPHES:
        return ""
    category = unicodedata.category(character)
    return character if category[0] in "LMN" or category == "Pc" or character in _JOINERS else " "


_ASCII = {code: _plain(chr(code)) for code in range(128)}
