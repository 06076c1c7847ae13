"""Commands that start something on a cluster: run, or shown as the shell script that would do the same."""

import shlex
import subprocess
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """One program.

    Attributes:
      words: the program and its arguments.
      reads: what it reads on standard input.
    """

    words: tuple[str, ...]
    reads: str = ""

    def shown(self) -> str:
        """As a line of a shell, with a here-document if it reads anything."""
        line = shlex.join(self.words)
        if not self.reads:
            return f"{line}\n"
        end = "END"
        while end in self.reads.splitlines():
            end += "_"
        return f"{line} <<'{end}'\n{self.reads.rstrip()}\n{end}\n"

    def run(self) -> None:
        """Runs it, to its end.

        Raises RuntimeError if it cannot be found or fails.
        """
        try:
            done = subprocess.run(self.words, input=self.reads, text=True, check=False)
        except FileNotFoundError:
            raise RuntimeError(
                f"{self.words[0]} is not installed here; --dry-run prints what would be run, for a machine that has it"
            ) from None
        if done.returncode:
            raise RuntimeError(f"`{shlex.join(self.words)}` ended with status {done.returncode}")


def script(commands: Sequence[Command]) -> str:
    """All of them, as a shell script that stops at the first that fails."""
    return "set -e\n" + "".join(command.shown() for command in commands)
