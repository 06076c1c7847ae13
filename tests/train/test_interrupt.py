"""Requests to stop, as signals to this very process."""

import os
import signal

import pytest

from data.exits import PREEMPTED, Ended
from train.interrupt import CTRL_C, SIGTERM, Interrupt


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGINT, CTRL_C), (signal.SIGTERM, SIGTERM)])
def test_first_signal_only_asks_and_handlers_come_back(number: int, reason: object) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert interrupt.asked is None
        os.kill(os.getpid(), number)
        assert interrupt.asked == reason
    assert signal.getsignal(number) is before


def test_second_ctrl_c_interrupts_at_once() -> None:
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked == CTRL_C


def test_first_to_ask_is_told_and_sigterm_may_repeat() -> None:
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked == SIGTERM
    ending = SIGTERM.ending()
    assert isinstance(ending, Ended) and ending.way == PREEMPTED
    assert isinstance(CTRL_C.ending(), KeyboardInterrupt)
