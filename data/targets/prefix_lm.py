"""Prefix language modelling: the beginning of a document is given, the rest is predicted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt64

from data.batch import Batch
from data.targets.base import Field, MakeBatch, Rows, Targets, segment_arrays, segment_fields, token_fields
from data.targets.documents import documents
from data.targets.draws import Draws, below
from data.tokenizers import Tokenizer


@dataclass(frozen=True)
class PrefixLM(Targets):
    """What follows a random prefix, which may be read in both directions (Raffel et al., 2020, arXiv:1910.10683,
    sections 3.2.1 and 3.3.1; for decoders, the non-causal ones of Wang et al., 2022, arXiv:2204.05832).

    The prefix of a document of n tokens has 1 to n - 1 of them, all alike likely, as in T5's
    `random_prefix_noise_mask`; of a row without segments, the row counts as one document. The batch's `prefix`
    marks the inputs that all of the document may see: the token before it and the prefix. Targets within the
    prefix have weight 0.
    """

    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        names = ("inputs", "targets", "weights", "prefix")
        return token_fields(sequence, *names) | segment_fields(sequence, segments)

    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        return _make


def _make(rows: Rows, keys: UInt64[np.ndarray, " rows"]) -> Batch:
    found = documents(rows)
    given = 1 + below(Draws(keys, 0).at(found.row, found.number), np.maximum(found.length - 1, 0))
    given = np.minimum(given, found.length - 1)
    real = rows.weights > 0
    place, given = found.places(), np.repeat(given, found.length)
    prefix = np.zeros(real.shape, np.int32)
    # One input more than targets: it is the first of these that the last of the prefix predicts.
    prefix[real] = place <= given
    weights = rows.weights.copy()
    weights[real] *= place >= given
    batch = {"inputs": rows.inputs, "targets": rows.targets, "weights": weights, "prefix": prefix}
    return batch | segment_arrays(rows)
