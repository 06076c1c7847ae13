"""Which text is held out for validation."""

import abc
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from data.document import Document

Part = Literal["train", "validation"]


class Split(abc.ABC):
    """A choice of what is held out: a frozen dataclass.

    Attributes:
      counts_characters: whether it must know how much text there is, and how much comes before.
    """

    counts_characters: ClassVar[bool] = False

    @abc.abstractmethod
    def divide(
        self, documents: Iterable[Document], characters: int, before: int = 0
    ) -> Iterator[tuple[Part, Document]]:
        """Streams the documents, each with the part it belongs to.

        Args:
          documents: the corpus, or a part of it.
          characters: the length of all texts of the corpus.
          before: the length of those that come before `documents`.
        """


@dataclass(frozen=True)
class HashSplit(Split):
    """Holds out whole documents, about `fraction` of them, by a hash of their ids.

    A document stays on its side when others come and go.

    Raises:
      ValueError: when `fraction` is not between 0 and 1.
    """

    fraction: float

    def __post_init__(self) -> None:
        _check_fraction(self, self.fraction)

    def divide(
        self, documents: Iterable[Document], characters: int, before: int = 0
    ) -> Iterator[tuple[Part, Document]]:
        threshold = int(self.fraction * 2**64)
        for document in documents:
            digest = hashlib.blake2b(document.id.encode(), digest_size=8).digest()
            held_out = int.from_bytes(digest, "big") < threshold
            yield "validation" if held_out else "train", document


@dataclass(frozen=True)
class TailSplit(Split):
    """Holds out the last `fraction` of the characters of all texts, one after another.

    The document that the boundary falls into is cut. For a corpus of one document this is the
    split of char-rnn and nanoGPT.

    Raises:
      ValueError: when `fraction` is not between 0 and 1.
    """

    counts_characters: ClassVar[bool] = True

    fraction: float

    def __post_init__(self) -> None:
        _check_fraction(self, self.fraction)

    def divide(
        self, documents: Iterable[Document], characters: int, before: int = 0
    ) -> Iterator[tuple[Part, Document]]:
        left = max(0, int((1 - self.fraction) * characters) - before)
        for document in documents:
            cut = min(left, len(document.text))
            left -= cut
            if cut:
                yield "train", replace(document, text=document.text[:cut])
            if cut < len(document.text):
                yield "validation", replace(document, text=document.text[cut:])


def _check_fraction(split: Split, fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(
            f"{type(split).__name__}.fraction is {fraction}, but must be between 0 and 1"
        )
