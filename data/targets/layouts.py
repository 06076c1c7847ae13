"""How a source and what is to be predicted from it are put before a model."""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from data.batch import Batch
from data.targets.base import Field, token_fields
from data.targets.ragged import Ragged, one_each, write


class Lengths(NamedTuple):
    """How many tokens a source, its target, and the two together have at most, without ends."""

    source: int
    target: int
    together: int


class Layout(abc.ABC):
    """A frozen dataclass that says where source and target go; a separator ends each example."""

    @abc.abstractmethod
    def has_room(self, sequence: int, lengths: Lengths) -> bool:
        """Whether an example of these lengths has room."""

    @abc.abstractmethod
    def fields(self, sequence: int, target: int) -> dict[str, Field]:
        """The arrays of a batch whose targets have at most `target` tokens."""

    @abc.abstractmethod
    def arrays(self, source: list[Ragged], target: Ragged, separator: int, sequence: int, longest: int) -> Batch:
        """The arrays of examples: parts of the source that follow one another, and the target.

        A row whose target is empty has weight 0 throughout.
        """


@dataclass(frozen=True)
class EncoderDecoder(Layout):
    """The source to an encoder, the target to a decoder, each ended by a separator, as T5 has it.

    The batch's `source` holds the source and `source_segment_ids` 1 where it is and 0 for padding; `inputs`,
    `targets` and `weights` are the decoder's. Its first input is a separator.
    """

    def has_room(self, sequence: int, lengths: Lengths) -> bool:
        return max(lengths.source, lengths.target) + 1 <= sequence

    def fields(self, sequence: int, target: int) -> dict[str, Field]:
        return token_fields(sequence, "source", "source_segment_ids") | token_fields(
            target + 1, "inputs", "targets", "weights"
        )

    def arrays(self, source: list[Ragged], target: Ragged, separator: int, sequence: int, longest: int) -> Batch:
        end = one_each(separator, target.count)
        read, read_count = write([*source, end], sequence)
        targets, target_count = write([target, end], longest + 1)
        return {
            "source": read,
            "source_segment_ids": (np.arange(sequence) < read_count[:, None]).astype(np.int32),
            "inputs": _shifted(targets, separator),
            "targets": targets,
            "weights": (np.arange(longest + 1) < target_count[:, None]).astype(np.float32),
        }


@dataclass(frozen=True)
class DecoderOnly(Layout):
    """The source and then the target in one row, ended by a separator; only the target has weight.

    The batch is that of a prefix language model: `inputs` begin with a separator, and `prefix` marks the inputs
    that all may see, that separator and the source.
    """

    def has_room(self, sequence: int, lengths: Lengths) -> bool:
        return lengths.together + 1 <= sequence

    def fields(self, sequence: int, target: int) -> dict[str, Field]:
        return token_fields(sequence, "inputs", "targets", "weights", "prefix")

    def arrays(self, source: list[Ragged], target: Ragged, separator: int, sequence: int, longest: int) -> Batch:
        targets, count = write([*source, target, one_each(separator, target.count)], sequence)
        given = np.sum([part.count for part in source], axis=0)[:, None]
        place = np.arange(sequence)
        return {
            "inputs": _shifted(targets, separator),
            "targets": targets,
            "weights": ((place >= given) & (place < count[:, None])).astype(np.float32),
            "prefix": ((place <= given) & (count > 0)[:, None]).astype(np.int32),
        }


def _shifted(targets: Int32[np.ndarray, "rows seq"], first: int) -> Int32[np.ndarray, "rows seq"]:
    inputs = np.empty_like(targets)
    inputs[:, 0] = first
    inputs[:, 1:] = targets[:, :-1]
    return inputs
