"""At which step to stop: one process knows by itself, several agree without ever waiting for one another's steps.

When one of several processes is asked to stop, it says so in the job's key-value store. Each process then says there
how far it has come, and starts no further step until all have; they stop one step after the one that is furthest.
What a process says, a thread says for it: its loop may be waiting for the device.
"""

import abc
import itertools
import threading
from typing import Any

import jax

from data.exits import PREEMPTED
from train.interrupt import CTRL_C, Interrupt, Reason

POLL_SECONDS = 0.5
_NUMBERS = itertools.count()


class Agreement(abc.ABC):
    """How the processes of a job come to stop at the same step."""

    @abc.abstractmethod
    def settled(self) -> Reason | None:
        """Called once per step by every process: why to stop now, or None. Costs no wait unless somebody asked."""

    @abc.abstractmethod
    def close(self) -> None:
        """No more steps will follow."""


class Alone(Agreement):
    """A process that asks nobody."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def settled(self) -> Reason | None:
        """Why to stop now, or None."""
        return self._interrupt.asked

    def close(self) -> None:
        """Nothing to do."""


class Together(Agreement):
    """Several processes, with the key-value store of JAX's coordination service between them.

    Args:
      interrupt: what this process is asked.
      store: a client of the store.
      process: index of this process.
      processes: how many there are.
      name: of this agreement, the same on all processes and used once.
    """

    def __init__(self, interrupt: Interrupt, store: Any, process: int, processes: int, name: str) -> None:
        self._interrupt, self._store = interrupt, store
        self._mine, self._processes, self._name = f"{name}/steps/{process}", processes, name
        self._steps, self._last = 0, -1
        self._reason: Reason | None = None
        self._counting, self._closed = False, threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, name="agreement", daemon=True)
        self._thread.start()

    def settled(self) -> Reason | None:
        """Why to stop now, or None. While the processes are counting their steps, waits for the count."""
        with self._changed:
            self._changed.wait_for(lambda: not self._counting)
            self._steps += 1
            return self._reason if self._reason is not None and self._steps >= self._last else None

    def close(self) -> None:
        """Says how far this process has come, so that others need not wait for it, and listens no more."""
        self._closed.set()
        self._thread.join(timeout=2 * POLL_SECONDS)
        if self._last < 0:
            self._publish()

    def _publish(self) -> None:
        try:
            self._store.key_value_set(self._mine, str(self._steps), allow_overwrite=True)
        except jax.errors.JaxRuntimeError:
            return  # The job is breaking up; whoever is left is told by JAX.

    def _listen(self) -> None:
        key = f"{self._name}/why"
        while not self._closed.wait(POLL_SECONDS):
            if (asked := self._interrupt.asked) is not None:
                self._try(lambda asked=asked: self._store.key_value_set(key, asked.words))
            if (words := self._try(lambda: self._store.key_value_try_get(key))) is not None:
                self._count(CTRL_C if words == CTRL_C.words else Reason(PREEMPTED, words))
                return

    def _count(self, reason: Reason) -> None:
        with self._changed:
            self._counting = True
        self._publish()
        while True:
            said = self._try(lambda: self._store.key_value_dir_get(f"{self._name}/steps/")) or []
            if len(said) == self._processes:
                break
            if self._closed.wait(POLL_SECONDS / 10):
                return
        with self._changed:
            self._reason, self._last = reason, max(int(steps) for _, steps in said) + 1
            self._counting = False
            self._changed.notify_all()

    def _try(self, call: Any) -> Any:
        """What a call of the store returns; None where the key is not there, or is there already."""
        try:
            return call()
        except jax.errors.JaxRuntimeError:
            return None


def agreement(interrupt: Interrupt) -> Agreement:
    """The agreement of this job. Every process of it must call this equally often."""
    if jax.process_count() == 1:
        return Alone(interrupt)
    from jax._src.distributed import global_state  # The store has no public name.

    name = f"espalier/stop/{next(_NUMBERS)}"
    return Together(interrupt, global_state.client, jax.process_index(), jax.process_count(), name)
