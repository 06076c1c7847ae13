"""Counts of how texts were cut into tokens, added up over shards."""

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32

from data.document import Document
from data.tokenizers import Tokenizer

# What is counted of each group of documents. Words are runs of what is not white space; languages that are written
# without it are counted by the character instead.
COUNTS = (
    "documents", "bytes", "characters", "tokens", "fallback", "words", "tokens_of_words", "unspaced",
    "tokens_of_unspaced",
)  # fmt: skip
# Chinese and its kin, Japanese, Thai, Lao, Burmese, Khmer, Tibetan and Dzongkha.
UNSPACED = frozenset({"zh", "yue", "wuu", "ja", "th", "lo", "my", "km", "bo", "dz"})
OTHERS = "(others)"
# A corpus of the web has a domain for every site: beyond so many, a shard's further ones are counted together.
_GROUPS = 1000
# The round trip is tried on the beginnings of the first documents of each shard.
_TRIED, _TRIED_CHARACTERS = 20, 10_000
_EXCERPT = 80
# White space as a space, all else as a letter.
_SHAPE = bytes(ord(" ") if chr(byte).isspace() else ord("w") for byte in range(256))


class Tally:
    """Counts for one tokenizer; what two tallies counted can be added, in either order but for what exceeds limits."""

    def __init__(self, vocab_size: int) -> None:
        self.languages: dict[str, list[int]] = {}
        self.domains: dict[str, list[int]] = {}
        self.used = np.zeros(vocab_size, bool)
        self.tried = 0
        self.returned = 0
        self.changed: dict[str, str] = {}

    def add(self, documents: Sequence[Document], encoded: Sequence[Int32[np.ndarray, " _"]],
            sizes: Sequence[int], fallback: np.ndarray | None) -> None:  # fmt: skip
        """Counts documents.

        Args:
          documents: the documents.
          encoded: the tokens of each.
          sizes: the length of each text in UTF-8.
          fallback: for each id whether it stands for what has no piece; None if no id does.
        """
        for document, ids, size in zip(documents, encoded, sizes, strict=True):
            self.used[ids] = True
            unpieced = 0 if fallback is None else int(fallback[ids].sum())
            length = len(document.text)
            if document.language.lower().partition("-")[0] in UNSPACED:
                apart = (0, 0, length, ids.size)
            else:
                apart = (count_words(document.text), ids.size, 0, 0)
            counts = (1, size, length, ids.size, unpieced, *apart)
            _count(self.languages, document.language, counts)
            domain = document.meta.get("domain")
            _count(self.domains, domain if isinstance(domain, str) and domain else document.source, counts)

    def wants_more(self) -> bool:
        """Whether the round trip should be tried on further documents."""
        return self.tried < _TRIED

    def try_round_trip(self, tokenizer: Tokenizer, document: Document) -> None:
        """Encodes the beginning of a text and decodes it again."""
        text = document.text[:_TRIED_CHARACTERS]
        back = tokenizer.decode(tokenizer.encode(text))
        self.tried += 1
        self.returned += back == text
        if back != text and not self.changed:
            same = len(os.path.commonprefix([text, back]))
            start = max(0, same - _EXCERPT // 2)
            self.changed = {
                "id": document.id,
                "before": text[start : start + _EXCERPT],
                "after": back[start : start + _EXCERPT],
            }

    def merge(self, later: Mapping[str, Any]) -> None:
        """Adds what `to_json` gave of a tally of later documents."""
        for mine, theirs in ((self.languages, later["languages"]), (self.domains, later["domains"])):
            for name, counts in theirs.items():
                _count(mine, name, counts)
        raw = np.frombuffer(base64.b64decode(later["used"]), np.uint8)
        self.used |= np.unpackbits(raw, count=self.used.size).astype(bool)
        self.tried += later["tried"]
        self.returned += later["returned"]
        self.changed = self.changed or dict(later["changed"])

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values; which ids were used as packed bits in base 64."""
        return {
            "languages": self.languages,
            "domains": self.domains,
            "used": base64.b64encode(np.packbits(self.used).tobytes()).decode(),
            "tried": self.tried,
            "returned": self.returned,
            "changed": self.changed,
        }

    def totals(self) -> dict[str, int]:
        """The counts of all documents, by name."""
        return named([sum(column) for column in zip(*self.languages.values(), strict=True)] or [0] * len(COUNTS))


def count_words(text: str) -> int:
    """How many runs of what is not white space there are: `len(text.split())`, without making them."""
    if not text.isascii():
        return len(text.split())
    shape = text.encode("ascii").translate(_SHAPE)
    return shape.count(b" w") + shape.startswith(b"w")


def named(counts: Sequence[int]) -> dict[str, int]:
    """The counts of one group, by name."""
    return dict(zip(COUNTS, counts, strict=True))


def _count(groups: dict[str, list[int]], name: str, counts: Sequence[int]) -> None:
    if name not in groups and len(groups) >= _GROUPS:
        name = OTHERS
    group = groups.setdefault(name, [0] * len(COUNTS))
    for place, number in enumerate(counts):
        group[place] += number
