"""Weights & Biases, where it is installed and an experiment asks for it."""

import dataclasses
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data import atomic
from data.spec import describe
from train.writer import Board, Writer

if TYPE_CHECKING:
    from train.experiment import Experiment
    from train.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class WeightsAndBiases(Board):
    """Sends metrics and config to Weights & Biases; after a restart to the same run there.

    The package is imported when a run begins that has this hook, and never otherwise.

    Attributes:
      project: where the run is listed.
      entity: whose project it is; the person's own if empty.
      offline: keep it under the run directory, for `wandb sync` to send later.
    """

    project: str = "espalier"
    entity: str = ""
    offline: bool = False

    def open(self, run: "RunDirectory", experiment: "Experiment") -> Writer:
        """Raises ImportError if the package is not installed."""
        try:
            import wandb
        except ImportError:
            raise ImportError("WeightsAndBiases needs the package wandb: install it, or take the hook out") from None
        kept = run.path / "wandb_id.txt"
        if not kept.exists():
            atomic.write_text(kept, secrets.token_hex(4) + "\n")
        local = "://" not in os.fspath(run.path)
        return _Sent(
            wandb.init(
                project=self.project,
                entity=self.entity or None,
                id=kept.read_text().strip(),
                name=run.path.name,
                resume="allow",
                mode="offline" if self.offline else None,
                dir=os.fspath(run.path) if local else None,
                config=describe(experiment),
            )
        )


class _Sent:
    """Of steps that a restart goes through again the service keeps what it has: the values are the same."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()
