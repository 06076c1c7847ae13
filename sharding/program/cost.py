"""What a compiled program costs."""

from collections.abc import Iterable

import jax

from sharding.chips import Chip
from sharding.program.collectives import Network
from sharding.program.pricing import Prices
from sharding.program.report import Collective, ProgramCost, Roofline
from sharding.program.tally import Tally
from sharding.program.text import parse
from sharding.program.timeline import Player


def cost_of(
    program: jax.stages.Compiled | str | Iterable[str], chip: Chip, mesh: jax.sharding.Mesh | None = None
) -> ProgramCost:
    """Counts what one call of a program costs one device of `chip`, and simulates its schedule.

    Args:
      program: compiled for a TPU; or its scheduled HLO, as one text or by lines (an open file of XLA's dump).
      chip: whose rates the counts are divided by.
      mesh: that it was compiled for; collectives are then told by its axes.

    Raises ProgramError if the text is no HLO module.
    """
    module = parse(program.as_text() if isinstance(program, jax.stages.Compiled) else program)
    tally, prices = Tally(), Prices(module, chip)
    if not module.scheduled:
        tally.note("instructions are in no schedule: what overlaps is not known")
    network = Network(chip, module.partitions, mesh)
    if mesh is not None and not network.told:
        tally.note(f"the mesh has {mesh.size} devices and the program {module.partitions}: axes are not told")
    Player(module, prices, network, tally).play(module.entry, 1.0)
    if not tally.estimated:
        tally.note("no operation has estimated cycles, which are written by the last passes: seconds are rooflines")
    collectives = tally.collectives()
    return ProgramCost(
        chip=chip,
        devices=module.partitions,
        matmul_flops=tally.flops,
        kernel_flops=tally.kernel_flops,
        hbm_bytes=tally.hbm_bytes,
        cycles=tally.cycles,
        collectives=collectives,
        loops=tuple(tally.loops),
        seconds=tally.seconds(),
        roofline=Roofline(
            compute=(tally.flops + tally.kernel_flops) / chip.peak_flops,
            hbm=tally.hbm_bytes / chip.hbm_bandwidth,
            links=_sent(collectives, False) / (chip.links * chip.link_bandwidth),
            slices=_sent(collectives, True) / chip.dcn_bandwidth,
        ),
        warnings=(*tally.notes, *prices.notes),
    )


def _sent(collectives: Iterable[Collective], between_slices: bool) -> float:
    return float(sum(each.sent_bytes for each in collectives if each.between_slices is between_slices))
