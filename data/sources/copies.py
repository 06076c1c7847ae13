"""Passages that occur many times, as boilerplate does in text from the web: what deduplication is tried on."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from data.identity import fingerprint
from data.sources.base import Record, Shard, Source

_WORD = re.compile(r"(\w+)")


@dataclass(frozen=True)
class Copies(Source):
    """The beginnings of another source's first long documents, each many times over, a copy a document.

    The first copy is as it was; in each of the others some words, chosen at random, are replaced by others of the
    passage. All lie in one shard.

    Attributes:
      of: the other source.
      passages: how many of its documents, the first that are long enough.
      characters: of each, from its beginning; shorter documents are passed over.
      copies: of each.
      edits: words that are replaced in a copy.
      seed: chooses words.

    Raises:
      ValueError: when a number is below 1, or `edits` below 0.
    """

    of: Source
    passages: int
    characters: int = 1000
    copies: int = 1
    edits: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("passages", 1), ("characters", 1), ("copies", 1), ("edits", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"Copies.{name} is {getattr(self, name)}, but must be at least {least}")

    def shards(self) -> tuple[Shard, ...]:
        return (Shard("copies"),)

    def read(self, shard: Shard) -> Iterator[Record]:
        found = 0
        for document in self.of.documents():
            if found == self.passages:
                return
            if len(document.text) < self.characters:
                continue
            found += 1
            text = document.text[: self.characters]
            for number in range(self.copies):
                name = f"{document.id}/copy-{number:05d}"
                yield replace(document, id=name, text=self._edited(text, name) if number else text)
        if found < self.passages:
            raise ValueError(
                f"Copies.passages is {self.passages}, but {found} documents have {self.characters} characters; take "
                "fewer or shorter ones"
            )

    def fingerprint(self) -> str:
        own = [self.passages, self.characters, self.copies, self.edits, self.seed]
        return fingerprint([self.of.fingerprint(), *own])

    def _edited(self, text: str, name: str) -> str:
        # Words stand at odd places.
        parts = _WORD.split(text)
        draw = random.Random(f"{self.seed} {name}")
        for place in draw.sample(range(1, len(parts), 2), min(self.edits, len(parts) // 2)):
            parts[place] = draw.choice(parts[1::2])
        return "".join(parts)

