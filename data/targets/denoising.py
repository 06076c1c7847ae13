"""Corrupted text as the source, what was taken out of it as the target: the base of `SpanCorruption` and `UL2`."""

import abc
import bisect

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt64

from data.batch import Batch
from data.targets.base import Field, MakeBatch, Rows, Targets
from data.targets.denoisers import Denoiser
from data.targets.draws import Draws, below
from data.targets.layouts import Layout
from data.targets.noise import span_noise
from data.targets.ragged import Ragged
from data.targets.special import separator_id, special_ids
from data.tokenizers import Tokenizer, sentinels


class Denoising(Targets):
    """One of several denoisers for each row, all alike likely, and a layout.

    A row is one example, as T5's is: documents that share it are told apart by their separators alone. So packing
    must not keep them apart, unless each has a row of its own.
    """

    layout: Layout

    @property
    @abc.abstractmethod
    def mixture(self) -> tuple[Denoiser, ...]:
        """The denoisers."""

    def raw_length(self, sequence: int) -> int:
        return max(self.lengths(sequence))

    def fields(self, sequence: int, segments: bool = False) -> dict[str, Field]:
        return self.layout.fields(sequence, self._longest_target(sequence))

    def check_documents(self, apart: bool) -> None:
        if apart:
            raise ValueError(
                f"{type(self).__name__} makes one example of a row and cannot keep documents apart that share it;"
                " pack with Windows(), or with Padded() to give each a row"
            )

    def check_groups(self) -> None:
        raise ValueError(
            f"{type(self).__name__} takes text apart and cannot say which group each target is of; leave batch.groups"
            " out, or ask for NextToken(), PrefixLM(), MaskedLM() or FillInTheMiddle()"
        )

    def start(self, tokenizer: Tokenizer, sequence: int) -> MakeBatch:
        return _Maker(self, tokenizer, sequence)

    def lengths(self, sequence: int) -> list[int]:
        """The longest row that each denoiser can take.

        Raises:
          ValueError: when one cannot take any.
        """
        longest = []
        for denoiser in self.mixture:

            def is_too_long(length: int, denoiser: Denoiser = denoiser) -> bool:
                return not self.layout.has_room(sequence, denoiser.lengths(length))

            # Neither source nor target outgrows the sequence, and so no row outgrows two of them.
            longest.append(bisect.bisect_left(range(2 * sequence + 1), True, key=is_too_long) - 1)
            if longest[-1] < 2:
                raise ValueError(f"sequence is {sequence}, which has no room for two tokens corrupted by {denoiser}")
        return longest

    def _longest_target(self, sequence: int) -> int:
        lengths = self.lengths(sequence)
        return max(denoiser.lengths(length).target for denoiser, length in zip(self.mixture, lengths, strict=True))


class _Maker:
    """Makes batches with the tokens that a tokenizer has for it."""

    def __init__(self, spec: Denoising, tokenizer: Tokenizer, sequence: int) -> None:
        name = type(spec).__name__
        self._spec = spec
        self._sequence = sequence
        self._target = spec._longest_target(sequence)
        self._lengths = np.array(spec.lengths(sequence))
        self._separator = separator_id(tokenizer, name)
        unused = np.zeros(1, np.uint64)
        spans = [
            int(denoiser.noise(np.array([length]), unused).spans[0]) if denoiser.marked else 0
            for denoiser, length in zip(spec.mixture, self._lengths, strict=True)
        ]
        self._sentinels = special_ids(tokenizer, sentinels(max(spans)), name)
        self._marked = np.array([denoiser.marked for denoiser in spec.mixture])
        modes = dict.fromkeys(denoiser.mode for denoiser in spec.mixture if denoiser.mode is not None)
        ids = dict(zip(modes, special_ids(tokenizer, tuple(modes), name).tolist(), strict=True))
        self._modes = np.array([ids.get(denoiser.mode, -1) for denoiser in spec.mixture], np.int32)

    def __call__(self, rows: Rows, keys: UInt64[np.ndarray, " rows"]) -> Batch:
        self._spec.check_documents(rows.segment_ids is not None and bool((rows.segment_ids > 1).any()))
        drawn = Draws(keys, 2).first(2)
        which = below(drawn[:, 0], len(self._marked))
        length = np.minimum((rows.weights > 0).sum(axis=1), self._lengths[which])
        noise, spans = np.zeros_like(length), np.zeros_like(length)
        for number, denoiser in enumerate(self._spec.mixture):
            mine = which == number
            noise[mine], spans[mine] = denoiser.noise(length[mine], drawn[mine, 1])
        mask = span_noise(keys, length, noise, spans, rows.targets.shape[1])
        source, target = split_spans(rows.targets, mask, length, spans, self._marked[which], self._sentinels)
        modes = np.where(length > 0, self._modes[which], -1)
        lead = Ragged(modes[modes >= 0], (modes >= 0).astype(np.int64))
        return self._spec.layout.arrays([lead, source], target, self._separator, self._sequence, self._target)


def split_spans(
    text: Int32[np.ndarray, "rows raw"],
    mask: Bool[np.ndarray, "rows raw"],
    length: Int64[np.ndarray, " rows"],
    spans: Int64[np.ndarray, " rows"],
    marked: Bool[np.ndarray, " rows"],
    sentinels: Int32[np.ndarray, " sentinels"],
) -> tuple[Ragged, Ragged]:
    """What is left of the first `length` tokens of each row, and what was taken out.

    In `marked` rows the n-th sentinel stands for the n-th span: in its place there, and before it here.
    """
    spans = np.where(marked, spans, 0)
    begins = mask & marked[:, None]
    begins[:, 1:] &= ~mask[:, :-1]
    markers = sentinels[np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)]
    count = mask.sum(axis=1)
    begins_span = begins[mask]
    place = np.arange(begins_span.size) + np.cumsum(begins_span)
    taken = np.empty(begins_span.size + markers.size, np.int32)
    taken[place] = text[mask]
    taken[place[begins_span] - 1] = markers
    shown = np.arange(text.shape[1]) < length[:, None]
    shown &= ~mask | begins
    left = text.copy()
    left[begins] = markers
    return Ragged(left[shown], length - count + spans), Ragged(taken, count + spans)
