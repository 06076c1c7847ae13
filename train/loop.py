"""The training loop, in the order in which a run lives."""

from collections.abc import Callable, Sequence
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
from train.feed import Reader
from train.fingerprint import Fingerprint
from train.journal import Journal
from train.meters import peak_memory
from train.occasions import Occasions
from train.profile import Profile, Tracer
from train.program import Programs
from train.provenance import about
from train.run_directory import RunDirectory
from train.start import Site
from train.state import Blueprint, abstract_state
from train.vigil import Vigil


@going_back
def train(
    experiment: Experiment,
    run: RunDirectory,
    *,
    origin: Experiment | None = None,
    command: Sequence[str] = (),
    profile: Profile = Profile(),
    say: Callable[[str], None] = print,
    hang_timeout: float = 0.0,
) -> dict[str, Any]:
    """Runs an experiment, or goes on with it where an earlier call of the same was stopped.

    Args:
      experiment: what to run.
      run: where to write.
      origin: the experiment before changes on the command line, to tell the difference from.
      command: the command line, for the record.
      profile: which steps to trace.
      say: prints a line; only the lead process's is shown.
      hang_timeout: seconds that a step may take before the process ends as hung; 0 waits forever.

    Returns:
      The last value of every metric.

    Raises:
      ValueError: if the run directory is of another experiment, or the experiment cannot run on these devices.
      KeyboardInterrupt: after Ctrl-C, when the state is saved.
      Ended: after SIGTERM or a notice of the cloud, when the state is saved.
    """
    # Devices: the mesh of this job, and whether the batch and its rows divide over it.
    lead, batch, cadence = is_lead(), experiment.batch, experiment.cadence
    say = say if lead else (lambda line: None)
    clock = Clock(run.clock, lead)
    layout = experiment.placement.on()
    experiment.fits(layout.mesh.size)
    run.check_same(experiment)
    if layout.platform == "cpu":
        keep_freed_memory()

    # Data: the lead prepares what is not there yet, the others find it. Which batch a step reads is arithmetic.
    prepared = prepare(experiment, run, say)
    reading = training(
        experiment.data, prepared, batch.form, batch=batch.batch, steps=batch.growth.units(experiment.steps),
        seed=experiment.seed, host=jax.process_index(), hosts=jax.process_count(), log=say,
    )

    # Model and optimizer: known by shape first, so that a checkpoint goes straight to its place.
    blueprint = Blueprint(experiment.model)
    schedule = experiment.schedule.over(experiment.steps)
    optimizer = experiment.optimizer.transform(schedule, blueprint.table)
    abstract = abstract_state(blueprint, optimizer, layout, experiment.objective, experiment.safety)
    for line in blueprint.told(layout, batch.sequence, experiment.flops_per_token):
        say(f"model: {line}")

    # State: the newest whole checkpoint, or what the experiment starts from.
    if lead:
        run.begin(experiment, origin or experiment, command)
    detours = Detours(run.incidents, experiment.safety, say)
    checkpoints = Checkpoints(run.checkpoints, cadence.keep, say, about(experiment), detours)
    site = Site(experiment, prepared, blueprint, optimizer, layout, say, run)
    begun = site.begun(checkpoints.restore(abstract))
    state, start, position = begun.state, int(begun.state.step), int(begun.state.position)
    clock.resume(start)
    profile.check(start, experiment.steps)
    batches_from = Reader(detours.around(reading.pipeline.from_step), batch.growth, layout)
    fingerprint = Fingerprint(run.fingerprint, run.metrics, start, position, detours.trusted(start), lead, say)
    noting = Journal(run, start, experiment, clock, (detours.told, fingerprint.told), lead)
    with Vigil(run, hang_timeout) as vigil, checkpoints, noting as journal:
        occasions = Occasions(experiment, run, prepared, reading.account, blueprint, layout, journal, clock)
        # A start from elsewhere is measured and saved before anything is learnt: nobody looks there again.
        if begun.record:
            occasions.begin(start, state, begun.record)
            checkpoints.save(state)

        # Compile: ahead of the first step.
        programs = Programs(experiment, blueprint, optimizer, schedule, abstract, layout)
        if start < experiment.steps:
            with clock.to("compile"):
                programs.at(start)
            journal.say(f"compile: {programs.seconds:.1f} s; {programs.memory}")
            fingerprint.check(programs, batches_from, lambda: experiment.start.begin(site).state)

        # Steps, and what is due between them.
        occasions.start(start, state)
        traced = Tracer(profile, run.profile, journal.say)
        batches = clock.waited("data", batches_from(position, start))
        for at in clock.during("steps", range(start + 1, experiment.steps + 1)):
            state, metrics = traced(at, programs.at(at - 1), detours.before(at, state), next(batches))
            fingerprint.stepped(metrics)
            journal.stepped(at, metrics)
            # Read once: a request may come at any moment, and what is due must not change half-way.
            reason = vigil.step()
            stopping = reason is not None and at < experiment.steps
            logging, evaluating, saving = cadence.due(at, last=at == experiment.steps)
            # A stop leaves no trace in the metrics: those of an undisturbed run are the same.
            if logging:
                journal.later(at, metrics)
            if evaluating or saving or stopping:
                journal.catch_up()
                journal.pause()
            if evaluating:
                vigil.begins("evaluation")
                occasions.evaluate(at, state)
            if saving or stopping:
                vigil.begins("checkpoint")
                with clock.saving(at):
                    journal.note(at, checkpoints.save(state, journal.at(at)))
            if stopping:
                checkpoints.close()
                raise reason.ending()

        # Finish: everything is on disk before anything is said to be.
        vigil.begins("end")
        with clock.to("save"):
            checkpoints.close()
        if start < experiment.steps:
            journal.note(experiment.steps, {**peak_memory(), **programs.figures(), **clock.figures()})
        occasions.end(experiment.steps, state)
        return dict(journal.latest)
