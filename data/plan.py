"""Which rows each step reads, as arithmetic on (seed, step, host).

The whole state of the input pipeline is the step. How many rows of each source a step has is for the
timeline to say; which rows these are follows from how many of that source came before, for each epoch in an
order of its own. What a row holds is for packing to say.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

from data.permutation import mix, permutation
from data.timeline import Timeline

# Keep the keys of unlike things apart: places in a batch, and what is random within a row.
_PLACES, _WITHIN = (np.uint64(int.from_bytes(name, "big")) for name in (b"places..", b"within.."))


@dataclass(frozen=True)
class SourceRows:
    """A source as the plan sees it.

    Attributes:
      name: decides its orders together with the seed, so that they do not depend on what it is mixed with;
        empty where a source is alone.
      rows: how many rows an epoch has.
    """

    name: str
    rows: int


class Slots(NamedTuple):
    """Rows of a batch, one element for each.

    Attributes:
      source: which source it is of.
      row: which row of the epoch it is.
      epoch: the key of the epoch in that source.
      key: the row's own key, for what is random within it.
    """

    source: Int64[np.ndarray, " rows"]
    row: Int64[np.ndarray, " rows"]
    epoch: UInt64[np.ndarray, " rows"]
    key: UInt64[np.ndarray, " rows"]


@dataclass(frozen=True)
class BatchPlan:
    """The batches of a run.

    Attributes:
      timeline: how many rows of each source a step has.
      sources: the sources, as many as the timeline has.
      seed: chooses the orders.

    Raises:
      ValueError: when the timeline is for another number of sources, or a source has no rows.
    """

    timeline: Timeline
    sources: tuple[SourceRows, ...]
    seed: int

    def __post_init__(self) -> None:
        if len(self.sources) != self.timeline.sources:
            raise ValueError(f"the timeline is for {self.timeline.sources} sources, but there are {len(self.sources)}")
        for source in self.sources:
            if source.rows < 1:
                raise ValueError(f"source '{source.name}' has {source.rows} rows, but must have at least 1")

    @property
    def batch(self) -> int:
        """Rows in a step, over all hosts."""
        return self.timeline.batch

    def slots(self, step: int, host: int = 0, hosts: int = 1, steps: int = 1) -> Slots:
        """This host's rows of a step.

        The batch of a step is the same for any number of hosts: host h has the places
        [h * batch / hosts, (h + 1) * batch / hosts) of it. With `steps`, the rows of so many
        steps from `step` on, one step after the other: asking at once costs little more than
        asking for one.

        Raises:
          ValueError: when `step`, `steps` or `host` is out of range, or `hosts` does not divide
            `batch`.
        """
        for name, value, least in (("step", step, 0), ("steps", steps, 1)):
            if value < least:
                raise ValueError(f"{name} is {value}, but must be at least {least}")
        share = rows_per_host(self.batch, host, hosts)
        numbers = np.int64(step) + np.arange(steps + 1, dtype=np.int64)
        read = self.timeline.rows(numbers)
        before, ends = read[:-1], np.cumsum(np.diff(read, axis=0), axis=1)
        place = np.broadcast_to(host * share + np.arange(share, dtype=np.int64), (steps, share))
        item = self._items(place, numbers[:-1], ends)
        source = (item[:, :, None] >= ends[:, None, :]).sum(axis=2)
        # Items of source s are [ends[s - 1], ends[s]); the first of them is its row before[s].
        first = np.concatenate([np.zeros((steps, 1), np.int64), ends[:, :-1]], axis=1) - before
        row = item - np.take_along_axis(first, source, axis=1)
        source, row = source.ravel(), row.ravel()
        rows = np.array([s.rows for s in self.sources], np.int64)
        epoch, row = np.divmod(row, rows[source])
        names = np.array([_number(s.name) for s in self.sources], np.uint64)
        key = mix(mix(np.uint64(self.seed % 2**64) + names)[source] + epoch.astype(np.uint64))
        row = permutation(row, rows[source], key)
        within = mix(self._step_keys(numbers[:-1], _WITHIN)[:, None] + place.astype(np.uint64))
        return Slots(source, row, key, within.ravel())

    def _items(
        self,
        place: Int64[np.ndarray, "steps share"],
        steps: Int64[np.ndarray, " steps"],
        ends: Int64[np.ndarray, "steps sources"],
    ) -> Int64[np.ndarray, "steps share"]:
        """Which of a step's rows, counted source after source, has each place of the batch."""
        # In a step of one source their order is as good as any; and that which a source alone would have
        # does not change when another joins later.
        mixed = (np.diff(ends, axis=1, prepend=0) == self.batch).sum(axis=1) == 0
        item = place.copy()
        if mixed.any():
            chosen = place[mixed]
            keys = np.repeat(self._step_keys(steps[mixed], _PLACES), chosen.shape[1])
            item[mixed] = permutation(chosen.ravel(), self.batch, keys).reshape(chosen.shape)
        return item

    def _step_keys(self, steps: Int64[np.ndarray, " steps"], kind: np.uint64) -> UInt64[np.ndarray, " steps"]:
        seed = mix(np.full(steps.shape, self.seed % 2**64, np.uint64) ^ kind)
        return mix(seed + steps.astype(np.uint64))


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") if name else 0


def rows_per_host(batch: int, host: int, hosts: int) -> int:
    """How many rows of a batch each host has.

    Raises:
      ValueError: when `hosts` does not divide `batch`, or `host` is not in [0, hosts).
    """
    if hosts < 1 or batch % hosts:
        raise ValueError(f"batch is {batch}, which cannot be divided evenly among {hosts} hosts")
    if not 0 <= host < hosts:
        raise ValueError(f"host is {host}, but must be in [0, {hosts})")
    return batch // hosts
