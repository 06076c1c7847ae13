"""Fill-in-the-middle: a decoder learns to write what goes between two texts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt64

from data.batch import Batch
from data.targets.base import Field, MakeBatch, Rows, Targets, segment_arrays, segment_fields, token_fields
from data.targets.documents import Documents, documents
from data.targets.draws import Draws, below, happens
from data.targets.special import special_ids
from data.tokenizers import Tokenizer

NAMES = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_MARKS = len(NAMES)


@dataclass(frozen=True)
class FillInTheMiddle(Targets):
    """Next-token prediction of documents of which some are cut in three and put in another order (Bavarian et al.,
    2022, arXiv:2207.14255): applied to each document of a row, which they call context-level, and to tokens.

    A document of prefix, middle and suffix becomes one of

        <fim_prefix> prefix <fim_suffix> suffix <fim_middle> middle        (PSM)
        <fim_prefix> <fim_suffix> suffix <fim_middle> prefix middle        (SPM, their variant 2)

    and all of it is predicted. Both cuts are uniform over the document, so that parts may be empty; without a prefix
    the two orders are one. To make room for the three marks, the last three tokens of the document's text are
    dropped, those before its separator if it has one in the row; a document of three tokens or fewer stays as it is.
    Documents are told apart by their segments, or by the separators where rows have none.

    Attributes:
      rate: share of documents that are rearranged; they find rates up to 0.9 harmless.
      spm_rate: share of these that have the suffix first.

    Raises:
      ValueError: when a share is not from 0 to 1.
    """

    rate: float = 0.5
    spm_rate: float = 0.5

    def __post_init__(self) -> None:
        for name in ("rate", "spm_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"FillInTheMiddle.{name} is {getattr(self, name)}, but must be from 0 to 1")

    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        return token_fields(sequence, "inputs", "targets", "weights") | segment_fields(sequence, segments)

    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        marks = special_ids(tokenizer, NAMES, "FillInTheMiddle")
        separator = tokenizer.separator

        def make(rows: Rows, keys: UInt64[np.ndarray, " rows"]) -> Batch:
            real = rows.weights > 0
            found, tokens = documents(rows, separator), rows.targets[real]
            ended = np.zeros(found.length.size, bool)
            if separator is not None:
                ended = tokens[found.begin + found.length - 1] == separator
            order = self._order(found, ended, keys)
            targets, inputs = rows.targets.copy(), rows.inputs.copy()
            rearranged = np.concatenate([tokens, marks])[order]
            targets[real] = rearranged
            # The input of a document's first token is what stands before the document; it stays.
            follows = np.ones(tokens.size, bool)
            follows[found.begin] = False
            shifted = inputs[real]
            shifted[follows] = rearranged[:-1][follows[1:]]
            inputs[real] = shifted
            if rows.groups is not None:
                rows = rows._replace(groups=_moved(rows.groups, real, order))
            return {"inputs": inputs, "targets": targets, "weights": rows.weights, **segment_arrays(rows)}

        return make

    def _order(
        self, found: Documents, ended: Bool[np.ndarray, " documents"], keys: UInt64[np.ndarray, " rows"]
    ) -> Int64[np.ndarray, " tokens"]:
        """Which token comes to each place; the numbers from that of the tokens on stand for the marks."""
        drawn = [Draws(keys, use).at(found.row, found.number) for use in range(4)]
        total = found.length.sum()
        text = found.length - ended - _MARKS
        moved = happens(drawn[0], self.rate) & (text > 0)
        text = np.where(moved, text, 0)
        suffix_first = happens(drawn[1], self.spm_rate)
        first, second = (below(number, text + 1) for number in drawn[2:])
        low, high = np.minimum(first, second), np.maximum(first, second)
        mark, begin, end = moved.astype(np.int64), found.begin, np.where(moved, ended, found.length)
        # Eight pieces, some of them empty, give both orders and the document left as it is: where each is taken from,
        # and how long it is. The last is the separator, or all of a document that is left as it is.
        pieces = [
            (total + 0, mark),
            (begin, np.where(suffix_first, 0, low)),
            (total + 1, mark),
            (begin + high, text - high),
            (total + 2, mark),
            (begin, np.where(suffix_first, low, 0)),
            (begin + low, high - low),
            (begin + found.length - end, end),
        ]
        source = np.stack([np.broadcast_to(source, begin.shape) for source, _ in pieces], axis=1).ravel()
        length = np.stack([length for _, length in pieces], axis=1).ravel()
        return np.arange(total) + np.repeat(source - np.cumsum(length) + length, length)


def _moved(
    groups: Int32[np.ndarray, "rows raw"], real: Bool[np.ndarray, "rows raw"], order: Int64[np.ndarray, " tokens"]
) -> Int32[np.ndarray, "rows raw"]:
    """The groups of tokens that were put in this order; a mark is of the group of what it stands in the place of."""
    own = groups[real]
    moved = groups.copy()
    moved[real] = np.where(order < own.size, own[np.minimum(order, own.size - 1)], own)
    return moved
