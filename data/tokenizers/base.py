"""What a tokenizer is, and what a choice of tokenizer is."""

import abc
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from etils import epath
from jaxtyping import Bool, Int32, Integer

from data import atomic
from data.identity import is_location
from data.spec import describe

FORMAT = 1
FILE = "tokenizer.json"


class Tokenizer(abc.ABC):
    """A trained tokenizer: immutable, and lossless on any text it accepts unless its class says otherwise.

    Attributes:
      type: the name it is saved under.
      separator: the id written after each document, which no text encodes to; None if there is
        no such id.
    """

    type: ClassVar[str]
    separator: int | None

    @property
    @abc.abstractmethod
    def vocab_size(self) -> int:
        """One more than the largest id."""

    @property
    def special(self) -> Mapping[str, int]:
        """Reserved tokens, id by name: `<mask>`, `<extra_id_0>`, `<fim_prefix>`...

        No text is encoded to one of them, not even their names. The separator is among them where it has a name.
        Decoded, they stand for no text.
        """
        return {}

    def begins_word(self) -> Bool[np.ndarray, " vocab"]:
        """For each id, whether a word begins there and does not go on from the token before.

        A token begins a word if its text begins with white space: the white space belongs to the word that follows.
        Special tokens and the separator are words of their own. So the words of a stream are the runs from one such
        token to before the next; the first token of a text begins one too, whatever it is. Tokenizers that mark
        what does *not* begin a word, as BERT's does with `##`, go by their mark instead.

        Raises:
          ValueError: when the tokenizer marks neither.
        """
        alone = {self.separator, *self.special.values()}
        begins = (i in alone or self.decode([i])[:1].isspace() for i in range(self.vocab_size))
        return np.fromiter(begins, bool, self.vocab_size)

    @abc.abstractmethod
    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        """The ids of `text`, without a separator.

        Raises:
          ValueError: when the text has something the vocabulary lacks.
        """

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[Int32[np.ndarray, " tokens"]]:
        """The ids of each text; faster than one call each where that can be.

        Args:
          texts: the texts.
          threads: at most so many at once; None for as many as there are cores. One is what a worker process
            asks for that shares the machine with others. A tokenizer without threads takes no notice.
        """
        return [self.encode(text) for text in texts]

    @abc.abstractmethod
    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]) -> str:
        """The text of `ids`; separators and special tokens stand for no text.

        Raises:
          ValueError: when an id is outside the vocabulary.
        """

    def piece(self, number: int) -> str:
        """How a token is written in the vocabulary, for people; empty if the id stands for nothing."""
        names = {i: name for name, i in self.special.items()}
        return names.get(number) or self.decode([number])

    def fallback(self) -> Bool[np.ndarray, " vocab"]:
        """For each id, whether it stands for what has no piece: a byte of a byte fallback, or the unknown."""
        return np.zeros(self.vocab_size, bool)

    @abc.abstractmethod
    def state(self) -> Mapping[str, Any]:
        """What must be kept, beside the type, to have the same tokenizer again: JSON values."""

    def files(self) -> Mapping[str, bytes]:
        """Files that are kept beside the JSON, by name."""
        return {}

    def published(self) -> Mapping[str, bytes]:
        """Files by name that other libraries read the tokenizer from; none if it has no such form."""
        return {}

    @classmethod
    @abc.abstractmethod
    def restore(cls, state: Mapping[str, Any], directory: epath.Path) -> "Tokenizer":
        """The inverse of `state` and `files`."""

    @property
    def hash(self) -> str:
        """A hash of all that decides the ids: equal for tokenizers that agree on every text."""
        digest = hashlib.sha256(f"{self.type} {json.dumps(self.state(), sort_keys=True)}".encode())
        for name, content in sorted(self.files().items()):
            digest.update(f"\n{name} {hashlib.sha256(content).hexdigest()}".encode())
        return digest.hexdigest()

    def save(self, directory: epath.PathLike) -> None:
        """Writes `tokenizer.json`, and the files it needs before it, to `directory`."""
        directory = epath.Path(directory)
        for name, content in self.files().items():
            with atomic.writing(directory / name) as file:
                file.write(content)
        record = {
            "format": FORMAT,
            "type": self.type,
            "hash": self.hash,
            "vocab_size": self.vocab_size,
            "separator": self.separator,
            "state": dict(self.state()),
        }
        atomic.write_text(directory / FILE, json.dumps(record, indent=1, ensure_ascii=False) + "\n")

    def _checked(
        self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]
    ) -> Integer[np.ndarray, " tokens"]:
        """`ids` as an array, after checking that each is in the vocabulary."""
        array = np.asarray(ids, np.int64).reshape(-1)
        if array.size and not 0 <= array.min() <= array.max() < self.vocab_size:
            bad = array[(array < 0) | (array >= self.vocab_size)][0]
            raise ValueError(f"token id {bad} is outside the vocabulary [0, {self.vocab_size})")
        return array


class TokenizerSpec(abc.ABC):
    """A choice of tokenizer: a frozen dataclass whose `train` makes it from text.

    Attributes:
      covers_validation: whether the texts to train on include the held-out ones. True only
        where a text with something unseen could not be encoded at all; then all that is learned
        from them is that it occurs.
    """

    covers_validation: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """What it is, as JSON values: where it is read from files, what is in them rather than where they lie.

        Raises:
          FileNotFoundError, ValueError: when the files are missing or not as described.
        """
        described = describe(self, locations=False)
        located = any(is_location(field) for field in dataclasses.fields(self))
        return described | ({"hash": self.train([]).hash} if located else {})

    @abc.abstractmethod
    def train(self, texts: Iterable[str]) -> Tokenizer:
        """The tokenizer of these texts; the same texts in the same order give the same one.

        Raises:
          ValueError: when the texts cannot support what the spec asks for.
        """
