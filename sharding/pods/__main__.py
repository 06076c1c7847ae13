"""Writes the file that starts a run on a TPU pod: `python -m sharding.pods --kind=jobset --tpu=v5e:16x16 ...`.

`jobset` is YAML for `kubectl apply -f -` on a GKE cluster with JobSet; `queued` is a shell script for queued
resources of Cloud TPU. Both start the run again after the exit statuses of `python -m train --help` that allow it.
"""

from absl import flags

from data import console

console.quiet()

_KIND = flags.DEFINE_enum("kind", "jobset", ["jobset", "queued"], "what to write")
_TPU = flags.DEFINE_string("tpu", None, "slice, as sharding.plan names it: v5e:16x16", required=True)
_CONFIG = flags.DEFINE_string("config", None, "--config of python -m train", required=True)
_RUN = flags.DEFINE_string("run", None, "--run of python -m train, gs://BUCKET/DIRECTORY", required=True)
_NAME = flags.DEFINE_string("name", "espalier", "name of the job")
_SET = flags.DEFINE_multi_string("set", [], "--set of python -m train; may be repeated")
_RESTARTS = flags.DEFINE_integer("restarts", 100, "how often it is started again", lower_bound=0)
_SPOT = flags.DEFINE_bool("spot", False, "machines that may be taken back")
_CHIPS = flags.DEFINE_integer("chips_per_host", 4, "chips of one host", lower_bound=1)
_IMAGE = flags.DEFINE_string("image", "", "jobset: container image with this code installed")
_GRACE = flags.DEFINE_integer("grace", 120, "jobset: seconds from SIGTERM to SIGKILL", lower_bound=1)
_ZONE = flags.DEFINE_string("zone", "", "queued: zone of Google Cloud")
_PROJECT = flags.DEFINE_string("project", "", "queued: project of Google Cloud; gcloud's own if empty")
_SETUP = flags.DEFINE_string("setup", "", "queued: shell command that installs this code on a host")


def main(argv: list[str]) -> None:
    """Prints the file."""
    from sharding.pods import jobset, queued
    from sharding.pods.job import Job
    from sharding.pods.slices import parse

    where = parse(_TPU.value, _CHIPS.value)
    job = Job(_NAME.value, _CONFIG.value, _RUN.value, _SET.value, _RESTARTS.value, _SPOT.value)
    needed = {"jobset": {"image": _IMAGE.value}, "queued": {"zone": _ZONE.value, "setup": _SETUP.value}}[_KIND.value]
    for flag, value in needed.items():
        if not value:
            raise console.UsageError(f"--kind={_KIND.value} needs --{flag}")
    if _KIND.value == "jobset":
        print(jobset.rendered(job, where, _IMAGE.value, grace=_GRACE.value), end="")
        return
    if not where.generation.accelerator:
        raise console.UsageError(f"--tpu is {_TPU.value!r}; queued resources have no such slices, use --kind=jobset")
    print(queued.rendered(job, where, _ZONE.value, _SETUP.value, project=_PROJECT.value), end="")


if __name__ == "__main__":
    console.run(main)
