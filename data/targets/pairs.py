"""Pairs of texts: the second is predicted from the first, as in translation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt64

from data.batch import Batch
from data.targets.base import Field, MakeBatch, Rows, Targets
from data.targets.layouts import EncoderDecoder, Layout, Lengths
from data.targets.ragged import Ragged
from data.targets.special import separator_id
from data.tokenizers import Tokenizer


@dataclass(frozen=True)
class Pairs(Targets):
    """What follows a mark in a document, from what comes before it; the mark is the last token of the source.

    Each document has a row of its own, as `Padded()` gives them. One without the mark, and what is left of one that
    is longer than a row, has weight 0. Of a source or a target that is too long the end is cut off.

    Attributes:
      target: tokens of the longest target, without the separator that ends it.
      mark: what stands between the two texts: one token, here and in the documents.
      layout: for an encoder and a decoder, or both in one row for a decoder alone.

    Raises:
      ValueError: when a target has no tokens.
    """

    target: int
    mark: str = "\t"
    layout: Layout = EncoderDecoder()

    def __post_init__(self) -> None:
        if self.target < 1:
            raise ValueError(f"Pairs.target is {self.target}, but must be at least 1")

    def raw_length(self, sequence: int) -> int:
        return self._source(sequence) + self.target + 1

    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        self._source(sequence)
        return self.layout.fields(sequence, self.target)

    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        separator, longest = separator_id(tokenizer, "Pairs"), self._source(sequence)
        marks = tokenizer.encode(self.mark)
        if len(marks) != 1:
            raise ValueError(
                f"Pairs.mark is {self.mark!r}, which is {len(marks)} tokens of the {tokenizer.type} tokenizer; "
                "take a text that is one"
            )

        def make(rows: Rows, keys: UInt64[np.ndarray, " rows"]) -> Batch:
            if rows.segment_ids is None or (rows.segment_ids > 1).any():
                raise ValueError("Pairs takes one document a row; pack with Padded()")
            real = rows.weights > 0
            found = real & (rows.targets == marks[0])
            whole = found.any(axis=1, keepdims=True)
            at = np.where(whole, found.argmax(axis=1)[:, None], -1)
            place = np.arange(real.shape[1])
            source = real & (place <= at)
            # The mark stays where the source is cut.
            source &= (place < longest - 1) | (place == at)
            target = real & whole & (place > at) & (place <= at + self.target) & (rows.targets != separator)
            parts = [Ragged(rows.targets[mask], mask.sum(axis=1)) for mask in (source, target)]
            return self.layout.arrays([parts[0]], parts[1], separator, sequence, self.target)

        return make

    def _source(self, sequence: int) -> int:
        """Tokens of the longest source, its mark included."""
        room = [n for n in range(2, sequence + 1) if self.layout.has_room(sequence, self._lengths(n))]
        if not room:
            raise ValueError(
                f"sequence is {sequence}, which has no room for a pair with a target of {self.target} tokens"
            )
        return room[-1]

    def _lengths(self, source: int) -> Lengths:
        return Lengths(source, self.target, source + self.target)
