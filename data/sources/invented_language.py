"""Sentences of an invented language, and their translations into another."""

import random
from dataclasses import dataclass
from functools import cached_property

from data.sources.synthetic import Synthetic

NOUNS, ADJECTIVES, VERBS, THAT = "abcdefghijklmnopqrst", "ABCDEFGHIJ", "KLMNOPQRST", "u"
GENDERS, MOST_ADJECTIVES = "xyz", 3


@dataclass(frozen=True)
class InventedLanguage(Synthetic):
    """A small language whose translation takes all that translation takes: words, order and agreement.

    A word is one letter. A sentence is a noun phrase, a verb and a noun phrase; a phrase is up to three adjectives,
    a noun, and sometimes a relative clause of `u`, a verb and a noun phrase. In the translation, after a tab, every
    word has another letter, which tells nothing of the first; verbs come last in their clause, nouns before their
    adjectives, and these the other way round. A noun has one of three genders, which only the translation shows: after
    each of its adjectives, and after the verb that it is the subject of, as `x`, `y` or `z`.

    Attributes:
      count: how many pairs.
      nested: chance that a noun phrase has a relative clause; in it, a fourth of that.
      seed: of the dictionary, the genders and the sentences.

    Raises:
      ValueError: when the chance is not from 0 to 1.
    """

    count: int
    nested: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.nested <= 1:
            raise ValueError(f"InventedLanguage.nested is {self.nested}, but must be from 0 to 1")

    def text(self, number: int) -> str:
        draw = random.Random(f"{self.seed} {number}")
        subject = self._phrase(draw, self.nested)
        source, target = self._clause(draw, subject, self.nested)
        return f"{subject.source}{source}\t{target}"

    @cached_property
    def _words(self) -> dict[str, str]:
        """The other word for each; of a kind of word one for each of the kind, shuffled."""
        draw = random.Random(f"{self.seed} words")
        return {
            word: other
            for words in (NOUNS, ADJECTIVES, VERBS)
            for word, other in zip(words, draw.sample(words, len(words)), strict=True)
        }

    @cached_property
    def _genders(self) -> dict[str, str]:
        draw = random.Random(f"{self.seed} genders")
        return {noun: draw.choice(GENDERS) for noun in NOUNS}

    def _phrase(self, draw: random.Random, nested: float) -> "_Phrase":
        adjectives = "".join(draw.choices(ADJECTIVES, k=draw.randint(0, MOST_ADJECTIVES)))
        noun = draw.choice(NOUNS)
        gender = self._genders[noun]
        source = adjectives + noun
        target = self._words[noun] + "".join(self._words[word] + gender for word in reversed(adjectives))
        if draw.random() < nested:
            inner = self._clause(draw, _Phrase("", "", gender), nested / 4)
            source, target = source + THAT + inner[0], target + THAT + inner[1]
        return _Phrase(source, target, gender)

    def _clause(self, draw: random.Random, subject: "_Phrase", nested: float) -> tuple[str, str]:
        """A clause from its verb on, and the whole of its translation."""
        verb, found = draw.choice(VERBS), self._phrase(draw, nested)
        return verb + found.source, subject.target + found.target + self._words[verb] + subject.gender


@dataclass(frozen=True)
class _Phrase:
    source: str
    target: str
    gender: str
