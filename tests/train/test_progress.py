"""Progress on a terminal and in a log, as a person sees it."""

import fcntl
import os
import pty
import re
import select
import struct
import termios

import pytest

from train import progress
from train.progress import Progress


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        shown = Progress(20, 100, True)
        shown._bar.mininterval = 0
        shown.at(40, {"train/loss": 2.34567, "perf/tokens_per_second": 12345.6})
        shown.at(60, {"train/loss": 2.25, "perf/tokens_per_second": 12000.0})
        shown.close()
        terminal.flush()
    drawn = ""
    while select.select([master], [], [], 0.2)[0]:
        try:
            drawn += os.read(master, 65536).decode()
        except OSError:
            break
    os.close(master)
    last = drawn.strip().split("\r")[-1]
    assert "60%" in last and "60/100" in last
    # Time so far and time left, the rate of steps, the loss, and tokens a second.
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+step/s, loss 2.250, 12,000 tokens/s\]", last), last


def test_a_log_has_plain_lines_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    shown = Progress(0, 100, True)
    for step in (10, 20, 30, 100):
        now[0] += 6
        shown.at(step, {"train/loss": 2.5, "perf/tokens_per_second": 1000.0})
    shown.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "step 20/100: loss 2.500, 1,000 tokens/s, 48 s left",
        "step 100/100: loss 2.500, 1,000 tokens/s, 0 s left",
    ]


def test_only_the_lead_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(0, 10, False)
    shown.at(10, {"train/loss": 2.5})
    shown.say("a line")
    shown.close()
    assert capsys.readouterr().out == ""
