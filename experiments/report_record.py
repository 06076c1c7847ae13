"""What a run directory says of a run, read for its report. Nothing is computed and nothing must be there."""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from etils import epath

from data.prepared import CARD
from data.spec import build, flatten
from train.metrics import read_metrics
from train.run_directory import RunDirectory

Points = list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as its files tell it; what is not there is empty.

    Attributes:
      name: of the experiment.
      directory: of the run.
      series: the values of every metric, by name, in the order of the steps.
      config: the config, as nested JSON values.
      config_diff: how it differs from its parent, as text.
      environment: what it ran on.
      card: the data card.
      samples: the text of `samples.txt`.
    """

    name: str
    directory: str
    series: Mapping[str, Points]
    config: Mapping[str, Any]
    config_diff: str
    environment: Mapping[str, Any]
    card: Mapping[str, Any]
    samples: str

    def last(self, metric: str) -> float | None:
        """The last value of a metric, finite or not; None if there is none."""
        points = self.series.get(metric)
        return points[-1][1] if points else None

    def typical(self, metric: str) -> float | None:
        """The median of the finite values of a metric; None if there is none."""
        values = sorted(value for _, value in self.series.get(metric, ()) if math.isfinite(value))
        return values[len(values) // 2] if values else None

    @property
    def step(self) -> int:
        """The last step of which there is a metric."""
        return max((points[-1][0] for points in self.series.values()), default=0)

    def setting(self, key: str) -> Any:
        """A value of the config by its dotted key; None if it is not there."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def weights(self) -> int | None:
        """Number of weights of the model; None if the config names types that are not known here."""
        from model.spec import ModelSpec
        from train.state import Blueprint

        try:
            return Blueprint(build(self.config["model"], ModelSpec)).count()
        except (KeyError, TypeError, ValueError):
            return None


def read(run: RunDirectory) -> Record:
    """Reads a run directory. Raises FileNotFoundError if it holds no run."""
    if not run.exists():
        raise FileNotFoundError(f"{run.path} holds no run: it has no {run.config.name}")
    environment = _json(run.environment)
    config = _json(run.config)
    return Record(
        name=_name(environment.get("command", ()), run),
        directory=str(run.path),
        series=_series(run),
        config=config,
        config_diff=_text(run.config_diff),
        environment=environment,
        card=_json(data_directory(run, config) / CARD),
        samples=_text(run.samples),
    )


def data_directory(run: RunDirectory, config: Mapping[str, Any]) -> epath.Path:
    """Where the data of a run lies: in it, or where its config says that it lay already."""
    elsewhere = (config.get("data") or {}).get("path")
    return epath.Path(elsewhere) if elsewhere and not run.data.exists() else run.data


def rows(value: Any) -> list[tuple[str, Any]]:
    """Nested JSON values as pairs of a dotted key and a plain value."""
    return list(flatten(value).items()) if value else []


def _series(run: RunDirectory) -> dict[str, Points]:
    found: dict[str, Points] = {}
    for line in read_metrics(run.metrics):
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            continue
        for key, value in line.items():
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(key, []).append((line["step"], float(value)))
    return found


def _name(command: Sequence[str], run: RunDirectory) -> str:
    """The experiment's name from the command line, or else that of the run directory."""
    words = [str(word) for word in command]
    for word, following in itertools.pairwise([*words, ""]):
        key, equals, value = word.partition("=")
        if key in ("--config", "-config"):
            source, colon, variant = (value if equals else following).partition(":")
            return PurePath(source).name.removesuffix(".py") + colon + variant
    return run.path.name


def _json(path: epath.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: epath.Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
