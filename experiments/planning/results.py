"""What compiling gave of the plans that docs/tpu.md shows, kept as JSON beside that page."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.planning.kept import rounded
from experiments.planning.provenance import Provenance
from train.experiment import Experiment

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Result:
    """Figures of one plan.

    Attributes:
      seconds: simulated, of a step.
      bound: seconds that no schedule goes below.
      gib: of a device, of the whole step.
      usable: GiB of a device that a program may have.
      mfu: the model's FLOPs over what a chip could do in that time.
      tokens: a second, of a chip.
      recomputed: FLOPs of the program over the model's.
      mesh: mesh axis -> devices, of those that divide.
      rows: in a step.
      sequence: tokens in a row.
      compiling: seconds that it took to compile.
      compiler_gib: that compiling held at most.
      provenance: what was compiled, how, and by what.
    """

    seconds: float
    bound: float
    gib: float
    usable: float
    mfu: float
    tokens: float
    recomputed: float
    mesh: Mapping[str, int]
    rows: int
    sequence: int
    compiling: float
    compiler_gib: float
    provenance: Provenance

    @classmethod
    def of(cls, plan: Mapping[str, Any], experiment: Experiment) -> "Result":
        """Of what `python -m sharding.plan --json` writes of an experiment.

        Raises ValueError for a plan that was not compiled or does not fit.
        """
        if not plan["fits"] or plan["speed"] is None:
            raise ValueError(f"{plan['config']} on {plan['topology']['name']} was not compiled, or does not fit")
        speed, work, effort = plan["speed"], plan["work"], plan["effort"]
        return cls(
            seconds=rounded(speed["seconds"]), bound=rounded(speed["bound"]),
            gib=round(plan["memory"]["used"] / _GIB, 2), usable=round(plan["topology"]["usable_bytes"] / _GIB, 2),
            mfu=rounded(speed["mfu"]), tokens=rounded(speed["tokens_per_second_per_chip"]),
            recomputed=rounded(speed["recomputed"]),
            mesh={axis: size for axis, size in work["mesh"].items() if size > 1},
            rows=work["rows"], sequence=work["sequence"], compiling=round(effort["compile_seconds"]),
            compiler_gib=round(effort["memory_bytes"] / _GIB, 1),
            provenance=Provenance.of(experiment, plan["compiler_options"]),
        )  # fmt: skip
