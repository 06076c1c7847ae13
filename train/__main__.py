"""Trains an experiment: `python -m train --config=NAME_OR_FILE --run=DIR [--set key=value ...]`.

The same command again goes on where it was stopped. Everything is written under --run: config,
metrics, checkpoints, samples, data card and report.
"""

import contextlib
import os
import sys

from absl import flags

from data import console

console.quiet()

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


def main(argv: list[str]) -> None:
    """Loads the experiment, joins the job, trains."""
    from data.user_code import load_file, usage
    from train.load import load_experiment

    for path in _IMPORT.value:
        load_file(path)
    written, experiment = load_experiment(_CONFIG.value, _SET.value)
    if _SHOW.value:
        from data.spec import describe, flatten

        for key, value in flatten(describe(experiment)).items():
            print(f"{key} = {value!r}")
        return

    from sharding.hosts import Job, is_lead
    from train.loop import train
    from train.profile import parse_profile
    from train.run_directory import RunDirectory
    from train.startup import be_deterministic, keep_compiled

    with usage("--profile"):
        profile = parse_profile(_PROFILE.value)
        profile.check(0, experiment.steps)
    if _DETERMINISTIC.value:
        be_deterministic()
    keep_compiled(_COMPILED.value)
    Job(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _JOIN.value).join()
    run = RunDirectory(_RUN.value)
    command = [os.path.basename(sys.executable), *sys.orig_argv[1:]]
    with run.locked() if is_lead() else contextlib.nullcontext():
        train(experiment, run, origin=written, command=command, profile=profile)


if __name__ == "__main__":
    console.run(main, interrupted="what was done is saved; the same command goes on from there")
