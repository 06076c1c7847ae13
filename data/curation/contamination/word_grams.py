"""Hashes of the word n-grams of a text, without work for each word in Python.

Words are those of GPT-3's decontamination (Brown et al. 2020, arXiv:2005.14165, appendix C): lower case, without
punctuation, between white space. The text is written with one space between words; the hash of an n-gram is that
of its stretch of bytes, the difference of two prefix sums of random numbers by byte times powers of an odd number,
brought to the same power (Karp and Rabin, 1987, modulo 2^64). Of 10^6 n-grams of evaluation sets and 10^10 of a
corpus two different ones have the same hash with a chance of about 10^16 / 2^64, 0.05%.
"""

import re
import string
from functools import lru_cache

import numpy as np
from jaxtyping import Int64, UInt64

from data.permutation import mix

_PUNCTUATION = re.compile(r"[^\w\x00-\x7f]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_FEW_KINDS = 50
_WORDS = re.compile(r"\S+")
_SPACE = 0x20
# ASCII by table: lower case, one kind of space, nothing that is neither letter, digit nor space.
_LOWER = bytes(0x20 if chr(byte).isspace() else ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256))
_DROPPED = bytes(byte for byte in range(128) if not chr(byte).isalnum() and not chr(byte).isspace())
assert set(string.punctuation.encode()) <= set(_DROPPED)
_BASE = 0x9E3779B97F4A7C15
# One number for each byte, so that similar bytes have unlike ones.
_NUMBERS = mix(np.arange(1, 257, dtype=np.uint64) * np.uint64(_BASE))


class WordGrams:
    """The words of a text, for any n.

    Args:
      text: any text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._plain = np.frombuffer(plain_words(text), np.uint8)
        gaps = np.flatnonzero(self._plain == _SPACE)
        empty = np.zeros(0, np.int64)
        self._starts = np.concatenate([[0], gaps + 1]).astype(np.int64) if len(self._plain) else empty
        self._ends = np.concatenate([gaps, [len(self._plain)]]).astype(np.int64) if len(self._plain) else empty
        self._sums: UInt64[np.ndarray, " bytes"] | None = None
        self._hashes: dict[int, UInt64[np.ndarray, " grams"]] = {}

    def __len__(self) -> int:
        """How many words there are."""
        return len(self._starts)

    def hashes(self, n: int) -> UInt64[np.ndarray, " grams"]:
        """The hash of each n-gram, by its first word; none where there are fewer than `n` words."""
        if n not in self._hashes:
            self._hashes[n] = self._hash(n)
        return self._hashes[n]

    def _hash(self, n: int) -> UInt64[np.ndarray, " grams"]:
        if len(self) < n:
            return np.zeros(0, np.uint64)
        powers, inverses = _powers(1 << (len(self._plain) - 1).bit_length())
        if self._sums is None:
            self._sums = np.zeros(len(self._plain) + 1, np.uint64)
            np.cumsum(_NUMBERS[self._plain] * powers[: len(self._plain)], out=self._sums[1:])
        starts, ends = self._starts[: len(self) - n + 1], self._ends[n - 1 :]
        return (self._sums[ends] - self._sums[starts]) * inverses[starts]

    def places(self) -> Int64[np.ndarray, "words 2"]:
        """Where each word stands in the text: its first character, and the one after its last."""
        words = [match.span() for match in _WORDS.finditer(self._text) if plain_words(match.group())]
        return np.array(words, np.int64).reshape(-1, 2)


def plain_words(text: str) -> bytes:
    """The words of a text in UTF-8 with one space between them: lower case, without punctuation and symbols."""
    if text.isascii():
        return b" ".join(text.encode().translate(_LOWER, _DROPPED).split())
    lower = text.lower()
    # Texts have few kinds of punctuation and space beyond ASCII, and taking one out is fast.
    odd = [c for c in set(_BEYOND_ASCII.findall(lower)) if not c.isalnum()]
    if len(odd) > _FEW_KINDS:
        lower = _PUNCTUATION.sub(lambda match: " " if match.group().isspace() else "", lower)
    else:
        for character in odd:
            lower = lower.replace(character, " " if character.isspace() else "")
    return b" ".join(lower.encode("utf-8", "replace").translate(_LOWER, _DROPPED).split())


@lru_cache(maxsize=32)
def _powers(size: int) -> tuple[UInt64[np.ndarray, " size"], UInt64[np.ndarray, " size"]]:
    """The powers of an odd number and of its inverse, modulo 2^64."""
    both = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        factors = np.full(size, base, np.uint64)
        factors[0] = 1
        both.append(np.cumprod(factors))
    return both[0], both[1]
