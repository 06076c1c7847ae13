"""What is masked as a whole: a token, or a word."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt64

from data.targets.draws import Draws, some
from data.tokenizers import Tokenizer

# Chooses which tokens of each row are masked: from the text, where documents begin, which tokens may be masked, how
# many of each row are to be, and the rows' keys.
Choose = Callable[
    [
        Int32[np.ndarray, "rows seq"],
        Bool[np.ndarray, "rows seq"],
        Bool[np.ndarray, "rows seq"],
        Int64[np.ndarray, " rows"],
        UInt64[np.ndarray, " rows"],
    ],
    Bool[np.ndarray, "rows seq"],
]


class Unit(abc.ABC):
    """A choice of what is masked as a whole: a frozen dataclass."""

    @abc.abstractmethod
    def start(self, tokenizer: Tokenizer) -> Choose:
        """What chooses the tokens to mask.

        Raises:
          ValueError: when the tokenizer cannot tell such units apart.
        """


@dataclass(frozen=True)
class SingleTokens(Unit):
    """Each token by itself, as BERT was published."""

    def start(self, tokenizer: Tokenizer) -> Choose:
        def choose(
            text: Int32[np.ndarray, "rows seq"],
            begins: Bool[np.ndarray, "rows seq"],
            allowed: Bool[np.ndarray, "rows seq"],
            wanted: Int64[np.ndarray, " rows"],
            keys: UInt64[np.ndarray, " rows"],
        ) -> Bool[np.ndarray, "rows seq"]:
            drawn = Draws(keys, 0).first(text.shape[1])
            # The tokens that may be masked stand in front for the draw.
            count = allowed.sum(axis=1)
            front = np.arange(text.shape[1]) < count[:, None]
            mask = np.zeros(text.shape, bool)
            mask[allowed] = some(drawn, count, wanted)[front]
            return mask

        return choose


@dataclass(frozen=True)
class WholeWords(Unit):
    """All tokens of a word together: the whole-word masking that Devlin et al. released in May 2019.

    A word goes on until a token that the tokenizer says begins one (`Tokenizer.begins_word`), a separator or another
    document. Words are taken in random order, each unless it would exceed the number wanted; so a few tokens less
    than that may be masked.
    """

    def start(self, tokenizer: Tokenizer) -> Choose:
        begins_word = tokenizer.begins_word()

        def choose(
            text: Int32[np.ndarray, "rows seq"],
            begins: Bool[np.ndarray, "rows seq"],
            allowed: Bool[np.ndarray, "rows seq"],
            wanted: Int64[np.ndarray, " rows"],
            keys: UInt64[np.ndarray, " rows"],
        ) -> Bool[np.ndarray, "rows seq"]:
            first = begins_word[text] | begins
            first[:, 0] = True
            first[:, 1:] |= ~allowed[:, :-1]
            first &= allowed
            words = first.sum(axis=1)
            in_row = np.arange(words.max(initial=0)) < words[:, None]
            length = np.zeros(in_row.shape, np.int64)
            begin = np.flatnonzero(first[allowed])
            length[in_row] = np.diff(begin, append=allowed.sum())
            taken = _greedy(length, in_row, wanted, Draws(keys, 0).first(in_row.shape[1]))
            mask = np.zeros(text.shape, bool)
            mask[allowed] = np.repeat(taken[in_row], length[in_row])
            return mask

        return choose


def _greedy(
    length: Int64[np.ndarray, "rows words"],
    in_row: Bool[np.ndarray, "rows words"],
    wanted: Int64[np.ndarray, " rows"],
    drawn: UInt64[np.ndarray, "rows words"],
) -> Bool[np.ndarray, "rows words"]:
    """Takes words in the order of what they drew, each unless it would exceed what is wanted."""
    order = np.argsort(drawn, axis=1)
    length = np.take_along_axis(length, order, axis=1)
    open_ = np.take_along_axis(in_row, order, axis=1)
    taken, left = np.zeros(open_.shape, bool), wanted.copy()
    # What does not fit now never will. Of the rest, those fit that come before the first whose sum does not; then
    # that one no longer fits either. So there are at most as many rounds as there are lengths.
    while (open_ := open_ & (length <= left[:, None])).any():
        total = np.cumsum(np.where(open_, length, 0), axis=1)
        fits = open_ & (total <= left[:, None])
        left -= np.where(fits, length, 0).sum(axis=1)
        taken |= fits
        open_ &= ~fits
    found = np.zeros(open_.shape, bool)
    np.put_along_axis(found, order, taken, axis=1)
    return found
