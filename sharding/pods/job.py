"""What is run on a pod, whichever way its machines are had."""

import dataclasses
import re
from collections.abc import Sequence

from data.console import UsageError


@dataclasses.dataclass(frozen=True)
class Job:
    """A training command for every host of a slice.

    Attributes:
      name: of the job; a DNS label of at most 40 characters, since the cluster adds to it.
      config: `--config` of `python -m train`.
      run: `--run`, in a bucket that every host can write to.
      changes: each a `--set`.
      restarts: how often it is started again.
      spot: whether the machines may be taken back at any time, at a lower price.
    """

    name: str
    config: str
    run: str
    changes: Sequence[str] = ()
    restarts: int = 100
    spot: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", self.name):
            raise UsageError(
                f"--name is {self.name!r}; it is at most 40 small letters, digits and hyphens, a letter first"
            )
        if not self.run.startswith("gs://"):
            raise UsageError(f"--run is {self.run!r}; the hosts of a pod share a bucket, gs://BUCKET/DIRECTORY")

    def command(self, *more: str) -> list[str]:
        """The command of every host."""
        changes = [f"--set={change}" for change in self.changes]
        return ["python", "-m", "train", f"--config={self.config}", f"--run={self.run}", "--distributed", *changes,
                *more]  # fmt: skip
