"""A study over hosts that share a directory: each makes a part of the runs, and takes the others as they come."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from experiments.ablation.executor import Executor
from experiments.ablation.plan import Trial
from experiments.ablation.result import Failure, Result
from experiments.ablation.store import Store


@dataclasses.dataclass(frozen=True)
class Share:
    """One of several equal parts.

    Attributes:
      index: which, from 0.
      of: how many there are.
    """

    index: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Reads `1/4`, the second of four. Raises ValueError for anything else."""
        index, slash, of = text.partition("/")
        if not (slash and index.isdecimal() and of.isdecimal() and int(index) < int(of)):
            raise ValueError(f"a part is written '0/4' to '3/4', the first to the last of four; not '{text}'")
        return cls(int(index), int(of))

    def holds(self, address: str) -> bool:
        """Whether the run of an address is of this part; every run is of exactly one."""
        return int(hashlib.sha256(address.encode()).hexdigest(), 16) % self.of == self.index


class Part(Executor):
    """Has the runs of one part made, and waits for others to make theirs in the same store.

    What fails is marked there, so that no part waits for it.

    Args:
      share: which part.
      inner: makes its runs.
      say: prints a line.
      pause: seconds between two looks at the store.
    """

    def __init__(
        self, share: Share, inner: Executor, say: Callable[[str], None] = print, pause: float = 5.0
    ) -> None:
        self._share, self._inner, self._say, self._pause = share, inner, say, pause

    def run(self, trials: Sequence[Trial], store: Store) -> Iterator[tuple[Trial, Result | Failure]]:
        """Its own first, then those of the others."""
        mine = [trial for trial in trials if self._share.holds(trial.address)]
        waiting = {trial.address: trial for trial in trials if not self._share.holds(trial.address)}
        for trial, outcome in self._inner.run(mine, store):
            if isinstance(outcome, Failure):
                store.mark(outcome)
            yield trial, outcome
        if waiting:
            self._say(f"waiting for {len(waiting)} runs of other parts")
        while waiting:
            for address, trial in list(waiting.items()):
                if (outcome := store.result(trial) or store.marked(address)) is not None:
                    del waiting[address]
                    yield trial, outcome
            if waiting:
                time.sleep(self._pause)

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self._inner.__exit__(kind, error, where)
