"""The run directory: one place, with fixed names, for all that a run writes."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from etils import epath

from data import atomic
from data.lock import locked
from data.spec import build, describe
from data.spec_difference import difference
from train.continuation import Refused, changes
from train.experiment import Experiment
from train.saved_steps import steps_saved
from train.startup import is_deterministic

PACKAGES = (
    "espalier", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-cpu", "tensorflow",
    "tensorflow-datasets", "sentencepiece", "numpy", "libtpu",
)


class RunDirectory:
    """Paths and small files of one run. `gs://` works as a local path does."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = epath.Path(path)
        self.config = self.path / "config.json"
        self.config_diff = self.path / "config_diff.txt"
        self.environment = self.path / "environment.json"
        self.start = self.path / "start.json"
        self.metrics = self.path / "metrics.jsonl"
        self.clock = self.path / "clock.json"
        # Orbax wants a local path to be absolute.
        whole = self.path if "://" in str(path) else epath.Path(os.path.abspath(path))
        self.checkpoints = whole / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.profile = self.path / "profile"
        self.incidents = self.path / "incidents.jsonl"
        self.fingerprint = self.path / "fingerprint.json"
        self.samples = self.path / "samples.txt"
        self.data = self.path / "data"
        self.data_card = self.path / "data_card.html"
        self.report = self.path / "report.html"
        self.comparison = self.path / "comparison.html"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config.exists()

    def check_same(self, experiment: Experiment) -> None:
        """Raises ValueError if the directory holds a run of another experiment.

        What may change is said by `train.continuation.changes`.
        """
        if not self.exists():
            return
        try:
            lines = changes(self.experiment(), experiment, self.steps_saved())
        except Refused as error:
            raise ValueError(f"{self.path} {error}") from None
        if lines:
            raise ValueError(
                f"{self.path} holds a run of another experiment ({'; '.join(lines[:4])}"
                f"{'; ...' if len(lines) > 4 else ''}); choose another --run, or the values it was begun with"
            )

    def steps_saved(self) -> int:
        """The step of the newest checkpoint, whether it is whole or not; 0 if there is none."""
        return steps_saved(self.checkpoints)

    def experiment(self) -> Experiment:
        """The experiment that was begun here.

        Raises FileNotFoundError or ValueError if there is none, or its config is unreadable.
        """
        try:
            stored = json.loads(self.config.read_text())
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.path} holds no run: it has no config.json") from None
        except ValueError as error:
            raise ValueError(f"{self.config} is no JSON: {error}") from None
        try:
            return build(stored, Experiment)
        except ValueError as error:
            raise ValueError(f"{self.config}: {error}") from None

    def begin(self, experiment: Experiment, origin: Experiment, command: Sequence[str]) -> None:
        """Writes what is known before the first step: config, how it differs from its parent, environment."""
        self.path.mkdir(parents=True, exist_ok=True)
        atomic.write_text(self.config, json.dumps(describe(experiment), indent=1) + "\n")
        atomic.write_text(self.config_diff, "\n".join(self._differences(experiment, origin)) + "\n")
        atomic.write_text(self.environment, json.dumps(environment(command), indent=1) + "\n")

    def record_start(self, record: Mapping[str, Any]) -> None:
        """Writes what the run began with, and how good that was."""
        atomic.write_text(self.start, json.dumps(record, indent=1) + "\n")

    def _differences(self, experiment: Experiment, origin: Experiment) -> list[str]:
        parts = []
        if origin.parent is not None:
            parts += ["from its parent:", *(f"  {line}" for line in difference(origin.parent, origin))]
        changed = difference(origin, experiment)
        return parts + ["on the command line:", *([f"  {line}" for line in changed] or ["  nothing"])]

    def locked(self) -> AbstractContextManager[None]:
        """Keeps a second process of this machine from writing to the same run.

        Raises RuntimeError if one does.
        """
        return locked(self.path, "choose another --run")


def environment(command: Sequence[str]) -> dict[str, Any]:
    """What a run ran on: versions, devices, code version, command."""
    devices = jax.devices()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": list(command),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "devices": [f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"],
        "processes": jax.process_count(),
        "packages": versions,
        "code": code_version(),
        "deterministic": is_deterministic(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def code_version() -> Mapping[str, Any]:
    """The commit of the code that runs, and whether it was changed since; empty outside a git checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(git("status", "--porcelain"))} if commit else {}
    except (OSError, subprocess.SubprocessError):
        return {}
