"""How programs end: one table of exit statuses, for people, supervisors and clusters.

It lives in this room because every verb may import it; it loads nothing.
"""

import dataclasses
import signal


@dataclasses.dataclass(frozen=True)
class Exit:
    """One way to end.

    Attributes:
      status: the exit status of the process.
      name: one or two words.
      meaning: what happened.
      again: whether the same command, started again, has a chance to get further.
    """

    status: int
    name: str
    meaning: str
    again: bool = False


DONE = Exit(0, "done", "all steps are done and saved")
FAILED = Exit(1, "failed", "an error that would come again, told in one sentence; a full disk is one")
USAGE = Exit(2, "usage", "a flag, key or name that does not exist; nothing was written")
# EX_TEMPFAIL of sysexits.h: "the user is invited to retry".
PREEMPTED = Exit(75, "preempted", "SIGTERM or a notice of the cloud; the state is saved", again=True)
HUNG = Exit(76, "hung", "nothing moved for longer than --hang_timeout; the stacks are in the run directory", again=True)
PEER_LOST = Exit(77, "peer lost", "another process of the job is gone", again=True)
INTERRUPTED = Exit(130, "interrupted", "Ctrl-C; the state is saved")
UNREAD = Exit(141, "unread", "nobody reads standard output any more")

TABLE = (DONE, FAILED, USAGE, PREEMPTED, HUNG, PEER_LOST, INTERRUPTED, UNREAD)
# What a shell and Kubernetes make of a signal: 137 is SIGKILL, 143 SIGTERM.
SIGNALLED = 128


class Ended(Exception):
    """Ends a program in a known way that is no error.

    Args:
      way: one of the table.
      sentence: what to say.
    """

    def __init__(self, way: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.way = way


def of(status: int) -> Exit:
    """The way of an exit status as `subprocess` gives it: negative for a signal."""
    known = {way.status: way for way in TABLE}
    if status < 0:
        return Exit(SIGNALLED - status, "killed", f"ended by signal {-status}", again=True)
    return known.get(status, Exit(status, "unknown", f"exit status {status}"))


def restartable() -> list[int]:
    """The statuses of a container after which the same command is worth starting again, in order.

    Those of the table, and the signals by which a program or its machine fails.
    """
    signals = (signal.SIGABRT, signal.SIGBUS, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
    return sorted([way.status for way in TABLE if way.again] + [SIGNALLED + number for number in signals])


def table() -> str:
    """The table as lines, for `--help`."""
    return "\n".join(f"  {way.status:>3}  {way.name}: {way.meaning}" for way in TABLE)
