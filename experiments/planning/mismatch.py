"""Where an experiment does not divide over a topology: one sentence, with the nearest that does."""

from data.console import UsageError
from sharding.placement import Layout, PlacementError
from sharding.topology import Topology
from train.experiment import Experiment


def divided(experiment: Experiment, topology: Topology) -> Layout:
    """The layout of an experiment on a topology.

    Raises UsageError if the mesh does not have the topology's devices, or the batch does not divide over them.
    """
    devices = topology.devices()
    try:
        layout = experiment.placement.on(devices)
    except (PlacementError, NotImplementedError, ValueError) as error:
        raise UsageError(f"{topology} and the config's placement do not go together: {error}") from error
    ways = experiment.placement.batch_divisor(len(devices))
    batch = experiment.batch
    unit = ways * batch.accumulate
    if batch.batch % unit:
        near = nearest_multiple(batch.batch, unit)
        raise UsageError(
            f"batch.batch is {batch.batch}, which {topology} divides in {ways} ways"
            f"{f' and batch.accumulate in {batch.accumulate}' if batch.accumulate > 1 else ''}; "
            f"the nearest that works is --set batch.batch={near}"
        )
    if batch.evaluation_rows % ways:
        near = nearest_multiple(batch.evaluation_rows, ways)
        raise UsageError(
            f"batch.evaluation is {batch.evaluation_rows}, which {topology} divides in {ways} ways; "
            f"the nearest that works is --set batch.evaluation={near}"
        )
    return layout


def nearest_multiple(number: int, of: int) -> int:
    """The multiple of `of`, at least 1 times, that is nearest to a number; the larger of two."""
    return max(1, (number + of // 2) // of) * of
