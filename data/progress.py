"""Progress of work on shards: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

# In a log, a line at most this often, in seconds.
_QUIET_SECONDS = 10.0


class Progress:
    """Says how far some work is; use it as a context manager.

    Args:
      name: what is being done.
      shards: how many there are.
      log: prints a line.
    """

    def __init__(self, name: str, shards: int, log: Callable[[str], None]) -> None:
        self._name, self._shards, self._log = name, shards, log
        self._done = 0
        self._amounts: dict[str, int] = {}
        self._bar = tqdm(total=shards, unit="shard", desc=name, leave=False) if sys.stderr.isatty() else None
        self._began = self._last = time.perf_counter()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, **amounts: int) -> None:
        """One more shard is done, which had so many documents, tokens or whatever is named."""
        self._done += 1
        for unit, amount in amounts.items():
            self._amounts[unit] = self._amounts.get(unit, 0) + amount
        now = time.perf_counter()
        seconds = max(now - self._began, 1e-9)
        rates = ", ".join(f"{amount / seconds:,.0f} {unit}/s" for unit, amount in self._amounts.items())
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(rates)
        elif now - self._last >= _QUIET_SECONDS:
            self._last = now
            left = seconds / self._done * (self._shards - self._done)
            self._log(f"{self._name}: {self._done} of {self._shards} shards, {rates}, {left:.0f} s left")
