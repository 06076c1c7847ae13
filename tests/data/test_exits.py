"""Exit statuses: one of each, and what a shell makes of signals."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from data import exits


def test_every_way_has_its_own_status() -> None:
    assert len({way.status for way in exits.TABLE}) == len(exits.TABLE)
    # 126 and 127 are the shell's own, above 128 are signals: 130 is SIGINT, 141 SIGPIPE.
    assert all(way.status < 126 for way in exits.TABLE if way not in (exits.INTERRUPTED, exits.UNREAD))


@given(st.sampled_from(["ABRT", "KILL", "SEGV", "TERM"]))
def test_a_signal_counts_as_a_shell_counts_it(name: str) -> None:
    shell = subprocess.run(["bash", "-c", f"(kill -{name} $BASHPID); echo $?"], capture_output=True, text=True)
    child = subprocess.run([sys.executable, "-c", f"import os, signal; os.kill(os.getpid(), signal.SIG{name})"])
    way = exits.of(child.returncode)
    assert way.again and way.status == int(shell.stdout)
    assert way.status in exits.restartable()


def test_what_comes_again_is_not_started_again() -> None:
    never = (exits.DONE, exits.FAILED, exits.USAGE, exits.INTERRUPTED, exits.UNREAD)
    assert not {way.status for way in never} & set(exits.restartable())
    assert {exits.of(status) for status in (75, 76, 77)} == {exits.PREEMPTED, exits.HUNG, exits.PEER_LOST}
    assert not exits.of(3).again


def test_table_is_part_of_help() -> None:
    shown = subprocess.run([sys.executable, "-m", "train", "--help"], capture_output=True, text=True, check=True).stdout
    assert exits.table() in shown


def test_docs_have_the_same_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "surviving.md").read_text()
    for way in exits.TABLE:
        assert f"| {way.status} | {way.name} | {way.meaning} | {'yes' if way.again else 'no'} |" in text
