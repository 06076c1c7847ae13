"""Masked language modelling: BERT's objective."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt64

from data.batch import Batch
from data.targets.base import Field, MakeBatch, Rows, Targets, segment_arrays, segment_fields, token_fields
from data.targets.documents import beginnings
from data.targets.draws import Draws, below, happens
from data.targets.special import special_ids
from data.targets.units import SingleTokens, Unit
from data.tokenizers import Tokenizer

MASK = "<mask>"


@dataclass(frozen=True)
class MaskedLM(Targets):
    """Tokens that are hidden among the others (Devlin et al., 2019, arXiv:1810.04805, section 3.1).

    Of each row's tokens the share is masked, rounded, and at least one; the separator never is. A masked token is
    replaced by `<mask>` (80%), by a random token (10%), or not at all. `inputs` and `targets` are the row with and
    without that, and `weights` are 1 where it is masked: here a target is what the input of its own place was.

    Attributes:
      share: of the tokens that are masked.
      hidden: share of these that become `<mask>`.
      random: share of these that become a random token, neither special nor the separator.
      unit: what is masked as a whole.

    Raises:
      ValueError: when `share` is not between 0 and 1, or `hidden` and `random` are no two shares of a whole.
    """

    share: float = 0.15
    hidden: float = 0.8
    random: float = 0.1
    unit: Unit = SingleTokens()

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"MaskedLM.share is {self.share}, but must be between 0 and 1")
        if not (self.hidden >= 0 and self.random >= 0 and self.hidden + self.random <= 1 + 1e-9):
            raise ValueError(
                f"MaskedLM.hidden is {self.hidden} and MaskedLM.random {self.random}, but they must be shares that"
                " add up to at most 1"
            )

    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        return token_fields(sequence, "inputs", "targets", "weights") | segment_fields(sequence, segments)

    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        mask_id = special_ids(tokenizer, (MASK,), "MaskedLM")[0]
        separator = tokenizer.separator
        reserved = [*tokenizer.special.values(), *([] if separator is None else [separator])]
        ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size, dtype=np.int32), np.array(reserved, np.int32))
        choose = self.unit.start(tokenizer)

        def make(rows: Rows, keys: UInt64[np.ndarray, " rows"]) -> Batch:
            text, allowed = rows.targets, rows.weights > 0
            if separator is not None:
                allowed &= text != separator
            count = allowed.sum(axis=1)
            wanted = np.minimum(np.maximum(np.rint(count * self.share).astype(np.int64), 1), count)
            mask = choose(text, beginnings(rows, separator), allowed, wanted, keys)
            where = np.nonzero(mask)
            fate = Draws(keys, 1).at(*where)
            other = ordinary[below(Draws(keys, 2).at(*where), ordinary.size)]
            changed = np.where(happens(fate, self.hidden + self.random), other, text[where])
            inputs = text.copy()
            inputs[where] = np.where(happens(fate, self.hidden), mask_id, changed)
            return {"inputs": inputs, "targets": text, "weights": mask.astype(np.float32), **segment_arrays(rows)}

        return make
