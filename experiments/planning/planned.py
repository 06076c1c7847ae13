"""An experiment planned on a topology: estimated, compiled, read."""

import enum
from collections.abc import Callable
from dataclasses import replace

from data.console import UsageError
from experiments.planning.estimate import Traces, estimate
from experiments.planning.record import Record, Request, Work
from experiments.planning.remedy import remedy
from experiments.planning.residuals import stacks_of
from experiments.planning.step import Step
from sharding.compiler_flags import compiler_options
from sharding.program.cost import cost_of
from train.experiment import Experiment


class Depth(enum.Enum):
    """How far a plan goes: by closed form alone, as far as the compiler's schedule, or to the compiled program."""

    CLOSED_FORM = enum.auto()
    SCHEDULE = enum.auto()
    PROGRAM = enum.auto()


def planned(
    request: Request,
    experiment: Experiment,
    *,
    depth: Depth = Depth.PROGRAM,
    say: Callable[[str], None] = print,
) -> Record:
    """What is known of the experiment's step on the topology.

    Args:
      request: for the record, and the topology.
      experiment: the config with the request's changes.
      depth: how far; after SCHEDULE the process has to be ended by `os._exit` (`sharding.program.schedule`).
      say: prints a line of progress.

    Raises UsageError where the two do not go together.
    """
    step = Step(experiment, request.topology)
    traces = Traces()
    estimated = estimate(experiment, step.programs.abstract, step.layout, traces)
    options = compiler_options(step.layout.device_kind) or {}
    batch = experiment.batch
    work = Work(
        step.mesh, step.rows, batch.sequence, batch.accumulate, step.programs.blueprint.count(),
        experiment.flops_per_token, "/".join(dict.fromkeys(stack.remat for stack in stacks_of(experiment.model))),
    )  # fmt: skip
    notes = tuple(f"kept whole on every device: {note}" for note in step.kept_whole)
    if depth is Depth.CLOSED_FORM:
        found = Record(request, work, None, estimated, notes=notes)
        return found if found.fits else replace(found, advice=remedy(experiment, request.topology, traces))
    if estimated.state > request.topology.usable_bytes:
        # The compiler would say so too, after minutes.
        raise UsageError(
            f"weights and optimizer take {estimated.state / 2**30:.1f} GiB of a device of {request.topology}, which "
            f"has {request.topology.usable_bytes / 2**30:.2f}; {remedy(experiment, request.topology, traces)}"
        )
    whole = depth is Depth.PROGRAM
    say(f"compiling {request.config} for {request.topology} ...")
    text, occupancy, effort = step.compile(whole)
    say(f"{'compiled' if whole else 'scheduled'} in {effort.trace_seconds + effort.compile_seconds:.0f} s")
    cost = None if text is None else cost_of(text, request.topology.chip, step.layout.mesh)
    advice = "" if occupancy.fits else remedy(experiment, request.topology, traces)
    return Record(request, work, occupancy, estimated, cost, effort, options, notes, advice, not whole)
