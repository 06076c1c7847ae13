"""What a model is asked to predict of a row of tokens: the base of all choices, and next-token prediction.

Every choice is a pure function of a row and the row's key, so that a batch is the same whichever rows are built
together, on however many hosts. Rows are built many at a time with NumPy; nothing is done per token in Python.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt64

from data.batch import Batch
from data.tokenizers import Tokenizer


class Rows(NamedTuple):
    """Rows of a token stream, as packing gives them.

    Attributes:
      inputs: the stream's token before each target.
      targets: the row's own tokens; over an epoch, each token of the stream stands here once.
      weights: 1 for a token, 0 for padding, which comes last in a row.
      segment_ids: which document of its row a target belongs to, from 1; 0 for padding. None where documents are
        not kept apart.
      positions: the place of a target in its document, from 0; None as with `segment_ids`.
      groups: the number of the group that a target's document is of; 0 for padding, None where nobody asks.
    """

    inputs: Int32[np.ndarray, "rows raw"]
    targets: Int32[np.ndarray, "rows raw"]
    weights: Float32[np.ndarray, "rows raw"]
    segment_ids: Int32[np.ndarray, "rows raw"] | None = None
    positions: Int32[np.ndarray, "rows raw"] | None = None
    groups: Int32[np.ndarray, "rows raw"] | None = None


class Field(NamedTuple):
    """One array of a batch.

    Attributes:
      shape: its shape after the axis of rows.
      dtype: the type of its elements.
    """

    shape: tuple[int, ...]
    dtype: type[np.generic]


# Rows and one key for each; the key decides all that is random in its row.
MakeBatch = Callable[[Rows, UInt64[np.ndarray, " rows"]], Batch]


class Targets(abc.ABC):
    """What a model is asked to predict of a row: a frozen dataclass.

    `sequence` is the length that a config speaks of: of a row for a decoder or an encoder, of the source for an
    encoder-decoder.
    """

    def raw_length(self, sequence: int) -> int:
        """How many tokens of the stream a row takes; more than `sequence` where corruption makes it shorter.

        Raises:
          ValueError: when a row of `sequence` has no room for what this choice adds to one.
        """
        return sequence

    @abc.abstractmethod
    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        """The arrays of a batch; with `segments`, of rows whose documents are kept apart.

        Raises:
          ValueError: when a row of `sequence` has no room for what this choice adds to one.
        """

    def check_documents(self, apart: bool) -> None:
        """Raises ValueError when documents that share a row are to be kept `apart`, and this choice cannot do it."""
        return None

    def check_groups(self) -> None:
        """Raises ValueError when this choice cannot say which group each of its targets is of."""
        return None

    @abc.abstractmethod
    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        """What makes batches of rows of `raw_length(sequence)` tokens; it may be called from several threads.

        Raises:
          ValueError: when the tokenizer lacks a token that this choice needs.
        """


def token_fields(length: int, *names: str) -> dict[str, Field]:
    """Fields with one number for each of `length` tokens: weights are float32, all others int32."""
    return {name: Field((length,), np.float32 if name == "weights" else np.int32) for name in names}


def segment_fields(length: int, segments: bool) -> dict[str, Field]:
    """The fields that tell documents apart, if they are wanted."""
    return token_fields(length, "segment_ids", "positions") if segments else {}


def segment_arrays(rows: Rows) -> Batch:
    """The arrays that tell documents apart, and their groups, if the rows have them."""
    found = {"segment_ids": rows.segment_ids, "positions": rows.positions, "groups": rows.groups}
    return {name: array for name, array in found.items() if array is not None}


@dataclass(frozen=True)
class NextToken(Targets):
    """Each token from those before it: causal language modelling."""

    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        return token_fields(sequence, "inputs", "targets", "weights") | segment_fields(sequence, segments)

    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        return lambda rows, keys: {
            "inputs": rows.inputs,
            "targets": rows.targets,
            "weights": rows.weights,
            **segment_arrays(rows),
        }
