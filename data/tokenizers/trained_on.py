"""A tokenizer that is trained on another text than it is used for."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from data.sources import Source
from data.tokenizers.base import Tokenizer, TokenizerSpec


@dataclass(frozen=True)
class TrainedOn(TokenizerSpec):
    """The tokenizer of a source, whatever the corpus: so several corpora have the same.

    Attributes:
      source: what it is trained on.
      of: which tokenizer.
      documents: of the source, the first so many.

    Raises:
      ValueError: when it is to be trained on none.
    """

    source: Source
    of: TokenizerSpec
    documents: int = 1_000_000

    def __post_init__(self) -> None:
        if self.documents < 1:
            raise ValueError(f"TrainedOn.documents is {self.documents}, but must be at least 1")

    def train(self, texts: Iterable[str]) -> Tokenizer:
        found = itertools.islice(self.source.documents(), self.documents)
        return self.of.train(document.text for document in found)
