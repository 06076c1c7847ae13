"""What would fit, where an experiment does not: more micro-batches, or more chips; by closed form."""

import dataclasses
import itertools

from data.console import UsageError
from experiments.planning.estimate import Traces, estimate
from experiments.planning.mismatch import divided
from sharding.topology import Topology, larger
from train.experiment import Experiment
from train.program import Programs

_MOST_CHIPS_TRIED = 12


def remedy(experiment: Experiment, topology: Topology, traces: Traces | None = None) -> str:
    """A clause on the nearest that fits, in micro-batches and in chips."""
    traces = traces or Traces()
    found = []
    for accumulate in _more(experiment):
        finer = _accumulated(experiment, accumulate)
        if finer is not None and fits(finer, topology, traces):
            found.append(f"--set batch.accumulate={accumulate}")
            break
    for other in itertools.islice(larger(topology), _MOST_CHIPS_TRIED):
        if fits(experiment, other, traces):
            found.append(f"--topology={other.name}")
            break
    if not found:
        return "by closed form no number of micro-batches and no larger slice with this placement is enough"
    return f"by closed form {' or '.join(found)} would do"


def fits(experiment: Experiment, topology: Topology, traces: Traces) -> bool:
    """Whether it divides over the topology, and has room there by closed form."""
    try:
        layout = divided(experiment, topology)
        programs = Programs.of(experiment, layout)
        return estimate(experiment, programs.abstract, layout, traces).peak <= topology.usable_bytes
    except (UsageError, ValueError):
        return False


def _accumulated(experiment: Experiment, accumulate: int) -> Experiment | None:
    """The experiment in so many micro-batches; None where its mesh, if that is of one size alone, divides none."""
    try:
        return dataclasses.replace(experiment, batch=dataclasses.replace(experiment.batch, accumulate=accumulate))
    except ValueError:
        return None


def _more(experiment: Experiment) -> list[int]:
    batch = experiment.batch
    return [n for n in range(batch.accumulate + 1, batch.batch + 1) if batch.batch % n == 0]
