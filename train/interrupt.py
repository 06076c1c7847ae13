"""Requests to stop: Ctrl-C, SIGTERM, notices. They are heard between two steps, within one the state would be lost."""

import dataclasses
import signal
from types import FrameType

from data.exits import INTERRUPTED, PREEMPTED, Ended, Exit


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a run is to stop.

    Attributes:
      way: how the process then ends.
      words: where the request came from.
    """

    way: Exit
    words: str

    def ending(self) -> BaseException:
        """What to raise once the state is saved."""
        if self.way == INTERRUPTED:
            return KeyboardInterrupt()
        return Ended(self.way, f"{self.words}: what was done is saved; the same command goes on from there")


CTRL_C = Reason(INTERRUPTED, "Ctrl-C")
SIGTERM = Reason(PREEMPTED, "SIGTERM")


class Interrupt:
    """While it is entered, SIGTERM and the first Ctrl-C only set `asked`; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.asked: Reason | None = None

    def __enter__(self) -> "Interrupt":
        self._before = {
            signal.SIGINT: signal.signal(signal.SIGINT, self._ctrl_c),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: self.ask(SIGTERM)),
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: it was set by C code, which Python cannot give back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ask(self, reason: Reason) -> None:
        """Asks to stop; the first to ask is the one that is told. Any thread may call it."""
        self.asked = self.asked or reason

    def _ctrl_c(self, number: int, frame: FrameType | None) -> None:
        if self.asked == CTRL_C:
            raise KeyboardInterrupt
        self.ask(CTRL_C)


def ends_early() -> None:
    """Makes SIGTERM end the program in an orderly way, as long as no `Interrupt` is entered."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(PREEMPTED, "SIGTERM outside of training: nothing was lost; the same command goes on")

    signal.signal(signal.SIGTERM, end)
