"""Which tokens each step reads, as arithmetic on (seed, step, host).

The whole state of the input pipeline is the step. The corpus is cut into windows of `sequence`
tokens; an epoch visits each window once, in an order of its own, and with windows that start at
an offset of its own, so that a token is not always seen with the same neighbours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt64

from data.permutation import mix, permutation, subkey


@dataclass(frozen=True)
class BatchPlan:
    """The batches of a run over `tokens` tokens.

    Attributes:
      tokens: the length of the stream.
      sequence: tokens per row.
      batch: rows per step, over all hosts.
      seed: chooses the orders and offsets.
      shuffle: False reads the windows in order, from the start of the stream in every epoch.

    Raises:
      ValueError: when a field is out of range or the stream is shorter than one epoch needs.
    """

    tokens: int
    sequence: int
    batch: int
    seed: int
    shuffle: bool = True

    def __post_init__(self) -> None:
        for name in ("sequence", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if self.rows_per_epoch < 1:
            needed = 2 * self.sequence - 1 if self.shuffle else self.sequence
            raise ValueError(
                f"sequence is {self.sequence}, which needs a corpus of at least {needed} tokens"
                f"{' to shuffle' if self.shuffle else ''}, but this one has {self.tokens}"
            )

    @property
    def rows_per_epoch(self) -> int:
        """How many windows an epoch visits; the same in every epoch."""
        # A shifted grid may lose up to sequence - 1 tokens at the start; leaving as many unused
        # in every epoch keeps the number of rows the same whatever the shift.
        unused = self.sequence - 1 if self.shuffle else 0
        return max(self.tokens - unused, 0) // self.sequence

    def epoch(self, step: int) -> float:
        """How many epochs have been read when `step` begins."""
        return step * self.batch / self.rows_per_epoch

    def rows(
        self, step: int, host: int = 0, hosts: int = 1, steps: int = 1
    ) -> Int64[np.ndarray, " rows"]:
        """Where each of this host's rows of a step starts in the stream.

        The batch of a step is the same for any number of hosts: host h has the rows
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
        first = (np.int64(step) + np.arange(steps, dtype=np.int64)) * self.batch + host * share
        row = (first[:, None] + np.arange(share, dtype=np.int64)).ravel()
        epoch, window = np.divmod(row, self.rows_per_epoch)
        if not self.shuffle:
            return window * self.sequence
        key = self._epoch_key(epoch)
        shift = (subkey(key, np.zeros(1, np.int64)) % np.uint64(self.sequence)).astype(np.int64)
        return permutation(window, self.rows_per_epoch, key) * self.sequence + shift

    def _epoch_key(self, epoch: Int64[np.ndarray, " rows"]) -> UInt64[np.ndarray, " rows"]:
        seed = mix(np.full(epoch.shape, self.seed % 2**64, np.uint64))
        return mix(seed + epoch.astype(np.uint64))


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
