"""Documents that are nearly the same, found by MinHash and locality-sensitive hashing (Broder 1997)."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt32, UInt64

from data.curation.join import Clusters
from data.curation.transform import CorpusTransform, Verdict
from data.document import Document
from data.sources.base import Source

# Scripts that put no spaces between words: Thai to Tibetan, Myanmar, Khmer, kana, Han, and Han beyond the
# first plane. Each of their characters counts as a word.
_UNSPACED = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")
_ASCII_WORDS = bytes(i if chr(i).isalnum() or chr(i) == "_" else 32 for i in range(128)) + bytes(range(128, 256))
# Hashes of words are remembered, since few words make up most text; this many take about 30 MB.
_REMEMBERED = 1 << 18
# Hash values worked on at a time: what stays in a core's second cache.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class NearDuplicates(CorpusTransform):
    """Drops every document but the first of each cluster of near-duplicates.

    A document is the set of its runs of `words` words. Of two documents whose sets have Jaccard similarity s, a
    row (one MinHash) is equal with probability s, a band (all its rows) with s^rows, and any band with
    1 - (1 - s^rows)^bands; then they are linked. Clusters are what hangs together by links. Nothing is compared
    beyond that, as in the published corpora.

    | parameters | words | bands | rows | even chance at s = |
    |---|---|---|---|---|
    | FineWeb (Penedo et al. 2024, section 3.4): the default | 5 | 14 | 8 | 0.68 |
    | Lee et al. 2022, appendix A | 5 | 450 | 20 | 0.72 |

    Words are runs of letters, digits and underscores, regardless of case; in scripts without spaces, characters.
    A document of fewer words than `words` is like those alone that have the same words; one without any word is
    like no other.

    Attributes:
      words: words in a run.
      bands, rows: how many bands there are, and of how many rows each.
      seed: chooses the hash functions.
      against: an earlier corpus, whose documents count as seen before, or None.

    Raises:
      ValueError: when `words`, `bands` or `rows` is less than 1, or `seed` is negative.
    """

    words: int = 5
    bands: int = 14
    rows: int = 8
    seed: int = 0
    against: Source | None = None

    def __post_init__(self) -> None:
        for name, least in (("words", 1), ("bands", 1), ("rows", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"NearDuplicates.{name} is {getattr(self, name)}, but must be at least {least}")

    @property
    def join(self) -> Clusters:
        return Clusters()

    def start_signature(self) -> Callable[[Document], UInt64[np.ndarray, " bands"]]:
        return _Signer(self)

    def start_apply(self) -> Callable[[Document, bool], Verdict]:
        return lambda document, repeated: Verdict(None, {"near-duplicate": 1}) if repeated else Verdict(document)

    def earlier(self) -> Source | None:
        return self.against


class _Signer:
    """Signs documents: one 64-bit hash of the MinHashes of each band."""

    def __init__(self, spec: NearDuplicates) -> None:
        self._spec = spec
        # The raw stream of a bit generator is the same in every version of NumPy.
        bits = np.random.PCG64(spec.seed)
        hashes = spec.bands * spec.rows
        self._word_factors = bits.random_raw(spec.words) | np.uint64(1)
        self._row_factors = bits.random_raw(spec.rows) | np.uint64(1)
        self._slopes = (bits.random_raw(hashes) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        self._offsets = (bits.random_raw(hashes) >> np.uint64(32)).astype(np.uint32)
        self._known = _WordHashes()

    def __call__(self, document: Document) -> UInt64[np.ndarray, " bands"]:
        words = split_words(document.text)
        if not words:
            return np.zeros(0, np.uint64)
        smallest = self._smallest(self._shingles(words)).reshape(self._spec.bands, self._spec.rows)
        return _mix((smallest * self._row_factors).sum(axis=1, dtype=np.uint64))

    def _shingles(self, words: Sequence[bytes]) -> UInt32[np.ndarray, " shingles"]:
        """A hash of each run of words."""
        run = self._spec.words
        hashes = np.zeros(max(len(words), run), np.uint64)
        hashes[: len(words)] = self._known.of(words)
        count = hashes.size - run + 1
        mixed = hashes[:count] * self._word_factors[0]
        for place in range(1, run):
            mixed += hashes[place : place + count] * self._word_factors[place]
        return (_mix(mixed) >> np.uint64(32)).astype(np.uint32)

    def _smallest(self, shingles: UInt32[np.ndarray, " shingles"]) -> UInt32[np.ndarray, " hashes"]:
        """The smallest value of each hash function h(x) = slope * x + offset (mod 2^32), slope odd."""
        smallest = np.full(self._slopes.size, np.iinfo(np.uint32).max, np.uint32)
        for start in range(0, shingles.size, _BLOCK):
            some = shingles[start : start + _BLOCK]
            at_once = max(1, _BLOCK // some.size)
            for first in range(0, self._slopes.size, at_once):
                part = slice(first, first + at_once)
                values = np.multiply.outer(self._slopes[part], some)
                values += self._offsets[part, None]
                np.minimum(smallest[part], values.min(axis=1), out=smallest[part])
        return smallest


class _WordHashes(dict[bytes, int]):
    """64-bit hashes of words, remembered."""

    def of(self, words: Sequence[bytes]) -> UInt64[np.ndarray, " words"]:
        """The hash of each word."""
        if len(self) > _REMEMBERED:
            self.clear()
        return np.fromiter(map(self.__getitem__, words), np.uint64, len(words))

    def __missing__(self, word: bytes) -> int:
        value = int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")
        self[word] = value
        return value


def split_words(text: str) -> list[bytes]:
    """The words of a text in UTF-8, regardless of case; the characters of scripts without spaces.

    Underscores and digits count as letters.
    """
    if text.isascii():
        return text.lower().encode().translate(_ASCII_WORDS).split()
    return " ".join(_WORD.findall(text.casefold())).encode().split()


def _mix(values: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """The last step of SplitMix64 (Steele et al. 2014, figure 15): every bit out depends on every bit in."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
