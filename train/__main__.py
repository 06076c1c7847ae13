"""Trains an experiment: `python -m train --config=NAME_OR_FILE --run=DIR [--set key=value ...]`.

The same command again goes on where it was stopped. Everything is written under --run: config,
metrics, checkpoints, samples, data card and report.
"""

import contextlib
import os
import platform
import sys

from absl import flags

from data import console, exits

console.quiet()
__doc__ = f"{__doc__}\nexit statuses:\n{exits.table()}"

_CONFIG = flags.DEFINE_string(
    "config", None, "experiment: a name in experiments/configs, or a Python file; NAME:VARIANT for a variant",
    required=True,
)
_RUN = flags.DEFINE_string("run", None, "directory to write to; local or gs://", required=True)
_SET = flags.DEFINE_multi_string("set", [], "change one field, model.attention.heads=8; may be repeated")
_IMPORT = flags.DEFINE_multi_string("import", [], "Python file with types of your own, to use in --set")
_SHOW = flags.DEFINE_bool("show_config", False, "print the resolved config and leave")
_PROFILE = flags.DEFINE_string("profile", "", "trace these steps, FIRST:LAST, into RUN/profile")
_DETERMINISTIC = flags.DEFINE_bool("deterministic", False, "the same bits from run to run on a GPU too; slower there")
_COMPILED = flags.DEFINE_string(
    "compilation_cache", "", "where compiled programs are kept for the next start: a directory, or off; "
    "by default the user's cache",
)
_COORDINATOR = flags.DEFINE_string("coordinator", "", "host:port of process 0, for a job of several processes")
_PROCESSES = flags.DEFINE_integer("processes", 0, "number of processes in the job", lower_bound=0)
_PROCESS = flags.DEFINE_integer("process", -1, "index of this process", lower_bound=-1)
_JOIN = flags.DEFINE_bool("distributed", False, "join a job whose members JAX finds by itself (TPU pod, SLURM)")
_SILENCE = flags.DEFINE_integer(
    "peer_timeout", 100, "seconds without a heartbeat after which another process of the job counts as dead",
    lower_bound=1,
)
_HANG = flags.DEFINE_float(
    "hang_timeout", 300, "seconds without progress after which a step counts as hung; evaluation, checkpoints and "
    "compilation may take 10 to 20 times as long; 0 waits forever", lower_bound=0,
)
_SUPERVISE = flags.DEFINE_bool(
    "supervise", False, "run this command as a child, and start it again when it crashed, hung or lost a peer"
)
_RESTARTS = flags.DEFINE_integer(
    "restarts", 5, "with --supervise: restarts in a row without a newer checkpoint before it gives up", lower_bound=0
)
_PREEMPTED = flags.DEFINE_bool("restart_preempted", False, "with --supervise: start again after a preemption too")


def supervised() -> int:
    """This command, started again for as long as that helps. Returns the exit status of the last attempt."""
    from etils import epath

    from train.supervisor import Supervisor

    # One of several processes has a record of its own.
    of = f"-{_PROCESS.value}" if _PROCESS.value >= 0 else f"-{platform.node()}" if _JOIN.value else ""
    # The last of a flag's values counts.
    command = [sys.executable, *sys.orig_argv[1:], "--nosupervise"]
    return Supervisor(
        command, epath.Path(_RUN.value), record=f"supervisor{of}.jsonl", restarts=_RESTARTS.value,
        preempted=_PREEMPTED.value,
    )()  # fmt: skip


def main(argv: list[str]) -> int | None:
    """Loads the experiment, joins the job, trains."""
    if _SUPERVISE.value:
        return supervised()

    from data.user_code import load_file, usage
    from train.load import load_experiment

    for path in _IMPORT.value:
        load_file(path)
    written, experiment = load_experiment(_CONFIG.value, _SET.value)
    if _SHOW.value:
        from data.spec import describe, flatten

        for key, value in flatten(describe(experiment)).items():
            print(f"{key} = {value!r}")
        return None

    import jax

    from data.devices import begin_collectives_in_order
    from sharding.host_memory import one_program_at_a_time
    from sharding.hosts import Job, is_lead
    from sharding.peers import lost
    from train.full_disk import told
    from train.interrupt import ends_early
    from train.loop import train
    from train.profile import keep_to_devices_at_hand, parse_profile
    from train.run_directory import RunDirectory
    from train.startup import be_deterministic, keep_compiled

    with usage("--profile"):
        profile = parse_profile(_PROFILE.value)
        profile.check(0, experiment.steps)
    if profile.last:
        keep_to_devices_at_hand()
    if _DETERMINISTIC.value:
        be_deterministic()
    keep_compiled(_COMPILED.value)
    one_program_at_a_time()
    if _COORDINATOR.value:
        begin_collectives_in_order()
    Job(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _JOIN.value, _SILENCE.value).join()
    ends_early()
    run = RunDirectory(_RUN.value)
    command = [os.path.basename(sys.executable), *sys.orig_argv[1:]]
    with told(run.path), run.locked() if is_lead() else contextlib.nullcontext():
        try:
            train(experiment, run, origin=written, command=command, profile=profile, hang_timeout=_HANG.value)
        except jax.errors.JaxRuntimeError as error:
            if (end := lost(error)) is not None:
                raise end from error
            raise
    return None


if __name__ == "__main__":
    try:
        console.run(main, interrupted="what was done is saved; the same command goes on from there")
    except SystemExit as end:
        leave = getattr(sys.modules.get("sharding.peers"), "leave", sys.exit)
        leave(end.code)
