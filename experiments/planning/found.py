"""What searches found for the shapes that ship, kept as JSON beside docs/tpu.md."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.planning.kept import rounded
from experiments.planning.provenance import Provenance
from train.experiment import Experiment

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Found:
    """The outcome of one search.

    Attributes:
      scheduled: candidates that were followed to the compiler's schedule, the config besides.
      compiled: those of them that were compiled.
      changes: of the fastest that was compiled, each a `--set`; none if that is the config itself.
      ratio: seconds that a token takes with it, over those with the config.
      seconds: simulated, of a step of the config.
      gib: of a device, with the fastest.
      own_gib: with the config.
      provenance: of the config's step.
    """

    scheduled: int
    compiled: int
    changes: tuple[str, ...]
    ratio: float
    seconds: float
    gib: float
    own_gib: float
    provenance: Provenance

    @classmethod
    def of(cls, searched: Mapping[str, Any], experiment: Experiment) -> "Found":
        """Of what `python -m sharding.plan --search --json` writes of an experiment.

        Raises ValueError where the config itself cannot be run.
        """
        rows = searched["rows"]
        whole = [row for row in rows if row["fits"] and not row["plan"]["scheduled_only"]]
        own = next((row["plan"] for row in whole if not row["changes"]), None)
        if own is None:
            where = f"{searched['config']} on {searched['topology']['name']}"
            raise ValueError(f"{where} was not compiled, or does not fit")
        best = whole[0]["plan"]
        rate, own_rate = (plan["speed"]["tokens_per_second_per_chip"] for plan in (best, own))
        return cls(
            scheduled=len(rows) - 1, compiled=len(whole) - 1, changes=tuple(whole[0]["changes"]),
            ratio=round(own_rate / rate, 4), seconds=rounded(own["speed"]["seconds"]),
            gib=round(best["memory"]["used"] / _GIB, 2), own_gib=round(own["memory"]["used"] / _GIB, 2),
            provenance=Provenance.of(experiment, own["compiler_options"]),
        )  # fmt: skip
