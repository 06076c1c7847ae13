"""The training loop, in the order in which a run lives."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from data.training import training
from sharding.host_memory import keep_freed_memory
from sharding.hosts import is_lead
from train.checkpoint import Checkpoints
from train.clock import Clock
from train.corpus import prepare
from train.detours import Detours, going_back
from train.experiment import Experiment
from train.feed import feed
from train.fingerprint import Fingerprint
from train.interrupt import Interrupt
from train.journal import Journal
from train.meters import Throughput, peak_memory
from train.objective import Batch
from train.occasions import Occasions
from train.profile import Profile, Tracer
from train.program import Programs
from train.provenance import about
from train.run_directory import RunDirectory
from train.state import Blueprint, TrainState, abstract_state, fresh_state


@going_back
def train(
    experiment: Experiment,
    run: RunDirectory,
    *,
    origin: Experiment | None = None,
    command: Sequence[str] = (),
    profile: Profile = Profile(),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Runs an experiment, or goes on with it where an earlier call of the same was stopped.

    Args:
      experiment: what to run.
      run: where to write.
      origin: the experiment before changes on the command line, to tell the difference from.
      command: the command line, for the record.
      profile: which steps to trace.
      say: prints a line; only the lead process's is shown.

    Returns:
      The last value of every metric.

    Raises:
      ValueError: if the run directory is of another experiment, or the experiment cannot run on these devices.
      KeyboardInterrupt: after Ctrl-C, when the state is saved.
    """
    # Devices: the mesh of this job, and whether the batch divides over it.
    lead, batch, cadence = is_lead(), experiment.batch, experiment.cadence
    say = say if lead else (lambda line: None)
    clock = Clock(run.clock, lead)
    layout = experiment.placement.on()
    experiment.divided_by(experiment.placement.batch_divisor(layout.mesh.size))
    run.check_same(experiment)
    if layout.platform == "cpu":
        keep_freed_memory()

    # Data: the lead prepares what is not there yet, the others find it. Which batch a step reads is arithmetic.
    prepared = prepare(experiment, run, say)
    reading = training(
        experiment.data, prepared, batch.form, batch=batch.batch, steps=experiment.steps, seed=experiment.seed,
        host=jax.process_index(), hosts=jax.process_count(), log=say,
    )

    # Model and optimizer: known by shape first, so that a checkpoint goes straight to its place.
    blueprint = Blueprint(experiment.model)
    schedule = experiment.schedule.over(experiment.steps)
    optimizer = experiment.optimizer.transform(schedule, blueprint.table)
    abstract = abstract_state(blueprint, optimizer, layout, experiment.objective, experiment.safety)
    for line in blueprint.told(layout, batch.sequence):
        say(f"model: {line}")

    def begun() -> TrainState:
        return fresh_state(blueprint, optimizer, layout, experiment.seed, experiment.objective, experiment.safety)

    # State: the newest whole checkpoint, or a fresh one.
    if lead:
        run.begin(experiment, origin or experiment, command)
    detours = Detours(run.incidents, experiment.safety, say)
    checkpoints = Checkpoints(run.checkpoints, cadence.keep, say, about(experiment), detours)
    state = checkpoints.restore(abstract) or begun()
    start, position = int(state.step), int(state.position)
    clock.resume(start)
    profile.check(start, experiment.steps)
    if start:
        say(f"resume: step {start} of {experiment.steps}, from {run.checkpoints / str(start)}")
    throughput = Throughput(batch.tokens, experiment.model.flops_per_token(batch.sequence))

    fingerprint = Fingerprint(run.fingerprint, run.metrics, start, detours.trusted(start), lead, say)
    noting = Journal(run, start, experiment.steps, throughput, clock, (detours.told, fingerprint.told), lead)

    def batches_from(position: int) -> Iterator[Batch]:
        return feed(detours.around(reading.pipeline.from_step, position), layout)

    with Interrupt() as interrupt, checkpoints, noting as journal:
        occasions = Occasions(experiment, run, prepared, reading.account, blueprint, layout, journal, clock)

        # Compile: ahead of the first step.
        programs = Programs(experiment, blueprint, optimizer, schedule, abstract, layout)
        if start < experiment.steps:
            with clock.to("compile"):
                programs.at(start)
            journal.say(f"compile: {programs.seconds:.1f} s")
            fingerprint.check(programs, position, batches_from, begun)

        # Steps, and what is due between them.
        traced = Tracer(profile, run.profile, journal.say)
        batches = clock.waited("data", batches_from(position))
        for at in clock.during("steps", range(start + 1, experiment.steps + 1)):
            state, metrics = traced(at, programs.at(at - 1), detours.before(at, state), next(batches))
            fingerprint.stepped(metrics)
            if at == start + 1:
                jax.block_until_ready(metrics)
                journal.note(at, {"perf/seconds_to_first_step": clock.since_start()})
            # Read once: Ctrl-C may come at any moment, and what is due must not change half-way.
            stopping = interrupt.asked and at < experiment.steps
            ending = stopping or at == experiment.steps
            evaluating, saving = (ending or at % every == 0 for every in (cadence.evaluate, cadence.checkpoint))
            if at % cadence.log == 0 or evaluating or saving:
                journal.later(at, metrics)
            if evaluating or saving:
                journal.catch_up()
                journal.pause()
            if evaluating and not stopping:
                occasions.evaluate(at, state)
            if saving:
                with clock.saving(at):
                    journal.note(at, checkpoints.save(state, journal.at(at)))
            if stopping:
                checkpoints.close()
                raise KeyboardInterrupt

        # Finish: everything is on disk before anything is said to be.
        with clock.to("save"):
            checkpoints.close()
        if start < experiment.steps:
            once = {"perf/compile_seconds": programs.seconds, "perf/peak_memory_bytes": float(peak_memory())}
            journal.note(experiment.steps, once | clock.figures())
        occasions.end(experiment.steps, state)
        return dict(journal.latest)
