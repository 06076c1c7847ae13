"""What a compiled program costs."""

import jax

from sharding.chips import Chip
from sharding.program.report import ProgramCost


def cost_of(program: str | jax.stages.Compiled, chip: Chip, mesh: jax.sharding.Mesh | None = None) -> ProgramCost:
    """Counts what one call of a program costs one device of `chip`, and simulates its schedule.

    Args:
      program: compiled for a TPU, or the text of its scheduled HLO.
      chip: whose rates the counts are divided by.
      mesh: that it was compiled for; collectives are then told by its axes.

    Raises ProgramError if the text is no HLO module.
    """
    raise NotImplementedError
