"""What stands by while a run goes on: requests to stop, and the watch for a run that no longer moves."""

from contextlib import ExitStack

import jax

from train.agreement import agreement
from train.interrupt import Interrupt, Reason
from train.notices import Notices, metadata_host
from train.run_directory import RunDirectory
from train.watchdog import Watchdog


class Vigil:
    """Entered around the steps of a run.

    Args:
      run: where the stacks of a run that hangs are written.
      hang_timeout: seconds that a step may take before the process ends as hung; 0 waits forever.
    """

    def __init__(self, run: RunDirectory, hang_timeout: float = 0.0) -> None:
        self._interrupt = Interrupt()
        self._watchdog = Watchdog(hang_timeout, run.path / f"hang-{jax.process_index()}.txt")

    def __enter__(self) -> "Vigil":
        with ExitStack() as stack:
            stack.enter_context(self._interrupt)
            stack.enter_context(Notices(self._interrupt, metadata_host()))
            stack.enter_context(self._watchdog)
            self._agreement = agreement(self._interrupt)
            stack.callback(self._agreement.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def step(self) -> Reason | None:
        """A step was given to the devices. Why the run is to stop after it, on all processes alike, or None."""
        self._watchdog.moved("step")
        return self._agreement.settled()

    def begins(self, phase: str) -> None:
        """Says what is done now: see `train.watchdog.ALLOWANCES`."""
        self._watchdog.moved(phase)
