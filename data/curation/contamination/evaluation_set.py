"""Evaluation sets as n-grams to look for."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt64

from data.curation.contamination.word_grams import WordGrams
from data.sources.base import Source

Lengths = Int64[np.ndarray, " examples"]


class GramSize(abc.ABC):
    """How many words make an n-gram for an evaluation set: a frozen dataclass."""

    @abc.abstractmethod
    def words(self, lengths: Lengths) -> int:
        """The n for a set whose examples have these lengths in words."""


@dataclass(frozen=True)
class FixedSize(GramSize):
    """The same n for every set: 13 in GPT-3's filter (Brown et al. 2020, appendix C) and in The Pile's, 8 in PaLM's.

    Attributes:
      n: words; examples of fewer cannot be found.

    Raises:
      ValueError: when `n` is less than 1.
    """

    n: int = 13

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"FixedSize.n is {self.n}, but must be at least 1")

    def words(self, lengths: Lengths) -> int:
        return self.n


@dataclass(frozen=True)
class SizeByLength(GramSize):
    """A percentile of the lengths of a set's examples, within limits: the n of GPT-3's analysis of its benchmarks, so
    that sets of short examples can be found at all (Brown et al. 2020, appendix C: the 5th, at least 8, at most 13).

    Attributes:
      percentile: in [0, 100].
      shortest, longest: the limits, in words.

    Raises:
      ValueError: when these are out of range or order.
    """

    percentile: float = 5.0
    shortest: int = 8
    longest: int = 13

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100 or not 1 <= self.shortest <= self.longest:
            raise ValueError(f"{self} needs a percentile in [0, 100] and 1 <= shortest <= longest")

    def words(self, lengths: Lengths) -> int:
        wanted = int(np.percentile(lengths, self.percentile)) if len(lengths) else self.longest
        return min(max(wanted, self.shortest), self.longest)


@dataclass(frozen=True)
class EvaluationSet:
    """Examples that a corpus must not have.

    Attributes:
      name: what it is called in the report, without "/".
      source: where they are; each document is an example, of which `text` is looked for.

    Raises:
      ValueError: when the name is empty or has a "/".
    """

    name: str
    source: Source

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f"EvaluationSet.name is '{self.name}', but must be a word without '/'")


@dataclass(frozen=True)
class Examples:
    """The n-grams of one evaluation set.

    Attributes:
      title: the name of the set, with what a report must know: how many examples, how long the n-grams, how many
        examples are shorter and cannot be found.
      ids: the example of each number.
      n: words to an n-gram.
      grams: hashes, sorted, each once.
      rows: where the numbers of each gram's examples start in `examples`, and one more for the end.
      examples: numbers of examples.
    """

    title: str
    ids: Sequence[str]
    n: int
    grams: UInt64[np.ndarray, " grams"]
    rows: Int64[np.ndarray, " bounds"]
    examples: Int64[np.ndarray, " pairs"]

    def found(self, words: WordGrams) -> tuple[Int64[np.ndarray, " hits"], UInt64[np.ndarray, " hits"]]:
        """Which n-grams of a text are in the set: the number of their first word, and their hash."""
        hashes = words.hashes(self.n)
        if not len(self.grams) or not len(hashes):
            return np.zeros(0, np.int64), np.zeros(0, np.uint64)
        place = np.searchsorted(self.grams, hashes)
        hits = np.flatnonzero(self.grams[np.minimum(place, len(self.grams) - 1)] == hashes)
        return hits, hashes[hits]

    def owners(self, grams: UInt64[np.ndarray, " hits"]) -> list[str]:
        """The ids of the examples that have any of these n-grams of the set, each once."""
        numbers: set[int] = set()
        for place in np.searchsorted(self.grams, np.unique(grams)).tolist():
            numbers.update(self.examples[self.rows[place] : self.rows[place + 1]].tolist())
        return [self.ids[number] for number in sorted(numbers)]


def read_examples(evaluation_set: EvaluationSet, size: GramSize) -> Examples:
    """Reads a set and hashes its n-grams. Memory: 16 bytes for each n-gram of each example, and the ids.

    Raises:
      FileNotFoundError, ValueError: when the source cannot be read or has no examples.
    """
    ids, words = [], []
    for document in evaluation_set.source.documents():
        ids.append(document.id)
        words.append(WordGrams(document.text))
    if not ids:
        raise ValueError(f"the evaluation set '{evaluation_set.name}' has no examples")
    n = size.words(np.array([len(gram) for gram in words], np.int64))
    hashed = [gram.hashes(n) for gram in words]
    owner = np.repeat(np.arange(len(ids)), [len(grams) for grams in hashed])
    pairs = np.unique(np.stack([np.concatenate(hashed), owner.astype(np.uint64)], axis=1), axis=0)
    grams, first = np.unique(pairs[:, 0], return_index=True)
    short = sum(len(gram) < n for gram in words)
    return Examples(
        title=f"{evaluation_set.name}/{len(ids)} examples, {n}-grams, {short} too short",
        ids=ids,
        n=n,
        grams=grams,
        rows=np.append(first, len(pairs)).astype(np.int64),
        examples=pairs[:, 1].astype(np.int64),
    )
