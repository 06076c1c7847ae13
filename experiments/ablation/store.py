"""Where runs of studies lie: each under its address, whichever study asked for it, and their data beside them."""

import json
import os

from etils import epath

from data import atomic
from data.spec import describe
from experiments.ablation.address import config_part, data_version, modules, user_files
from experiments.ablation.plan import Trial
from experiments.ablation.result import Failure, Result, read

_FAILED = "failed.txt"


class Store:
    """A directory of runs.

    Args:
      root: the directory; it need not be there.
      any_code: whether a run of another version of the code counts too, the newest of them.
    """

    def __init__(self, root: str | os.PathLike[str], any_code: bool = False) -> None:
        self.root = epath.Path(root)
        self.runs = self.root / "runs"
        self._any_code = any_code

    def folder(self, address: str) -> epath.Path:
        """Where the run of an address lies."""
        return self.runs / address

    def data(self, trial: Trial) -> epath.Path:
        """Where the data of a run lies, which runs on the same data share."""
        return self.root / "data" / data_version(trial.experiment)[:16]

    def result(self, trial: Trial) -> Result | None:
        """The result of a run, if it is done."""
        found = read(self.folder(trial.address) / "result.json")
        if found is not None or not self._any_code or not self.runs.exists():
            return found
        older = self.runs.glob(f"{config_part(trial.address)}-*/result.json")
        # A run of other code stands for this one: it is found under the address that was asked for.
        for path in sorted(older, key=lambda path: path.stat().mtime, reverse=True):
            if (found := read(path)) is not None:
                return found
        return None

    def mark(self, failure: Failure) -> None:
        """Leaves word that a run failed, for those who wait for it."""
        atomic.write_text(self.folder(failure.address) / _FAILED, failure.reason)

    def marked(self, address: str) -> Failure | None:
        """The failure of a run, if word was left and it was not begun again since."""
        path = self.folder(address) / _FAILED
        try:
            return Failure(address, path.read_text())
        except OSError:
            return None

    def enter(self, trial: Trial) -> epath.Path:
        """Writes what a process needs to know to make a run. Returns its folder."""
        folder = self.folder(trial.address)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FAILED).unlink(missing_ok=True)
        named = modules(trial.experiment)
        order = {
            "address": trial.address,
            "name": str(trial),
            "data": os.path.abspath(self.data(trial)) if "://" not in str(self.root) else str(self.data(trial)),
            "files": user_files(named),
            "modules": [name for name in named if not name.startswith("espalier_user_")],
            "config": describe(trial.experiment),
        }
        atomic.write_text(folder / "order.json", json.dumps(order, indent=1) + "\n")
        return folder
