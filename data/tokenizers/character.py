"""Characters as tokens: the sorted distinct characters of the corpus, as in char-rnn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from etils import epath
from jaxtyping import Int32, Integer

from data.tokenizers.base import Tokenizer, TokenizerSpec


class CharacterTokenizer(Tokenizer):
    """Id i is the i-th character of a sorted alphabet; there is no separator.

    Raises:
      ValueError: when the alphabet is empty, unsorted or repeats a character.
    """

    type = "characters"
    separator = None

    def __init__(self, alphabet: str) -> None:
        if not alphabet or list(alphabet) != sorted(set(alphabet)):
            raise ValueError(
                f"an alphabet must be distinct characters in order, but this is {alphabet[:40]!r}"
            )
        self.alphabet = alphabet
        self._code_points = _code_points(alphabet)

    @property
    def vocab_size(self) -> int:
        return len(self.alphabet)

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        code_points = _code_points(text)
        ids = np.searchsorted(self._code_points, code_points).clip(max=self.vocab_size - 1)
        unknown = np.flatnonzero(self._code_points[ids] != code_points)
        if unknown.size:
            at = int(unknown[0])
            raise ValueError(
                f"character {text[at]!r} at position {at} of the text is not among the"
                f" {self.vocab_size} characters this tokenizer was trained on"
            )
        return ids.astype(np.int32)

    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]) -> str:
        return self._code_points[self._checked(ids)].tobytes().decode("utf-32-le")

    def state(self) -> Mapping[str, Any]:
        return {"alphabet": self.alphabet}

    @classmethod
    def restore(cls, state: Mapping[str, Any], directory: epath.Path) -> "CharacterTokenizer":
        return cls(state["alphabet"])


@dataclass(frozen=True)
class Characters(TokenizerSpec):
    """The distinct characters of the corpus."""

    # A character that occurs only in the held-out text would have no id.
    covers_validation: ClassVar[bool] = True

    def train(self, texts: Iterable[str]) -> CharacterTokenizer:
        alphabet: set[str] = set()
        for text in texts:
            alphabet.update(text)
        if not alphabet:
            raise ValueError("Characters found no character to make a vocabulary of")
        return CharacterTokenizer("".join(sorted(alphabet)))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")
