"""Starts a run on a TPU pod, or prints what that takes: `python -m sharding.launch --tpu=v5e:16x16 --dry-run ...`.

`--via` is the way to the machines. `jobset`: `kubectl apply` of a JobSet, to a GKE cluster. `xpk`: `xpk workload
create`. `queued`: a queued resource of Cloud TPU, asked for again whenever it was taken back. `ssh`: TPU machines
that are there already, by the name --name. `image`: no run, but the container image that jobset and xpk need. All
start the run again after the exit statuses of `python -m train --help` that allow it. `--dry-run` prints a shell
script that does the same, and touches nothing.
"""

from absl import flags

from data import console

console.quiet()

_VIA = flags.DEFINE_enum("via", "jobset", ["jobset", "xpk", "queued", "ssh", "image"], "the way to the machines")
_DRY = flags.DEFINE_bool("dry_run", False, "print what would be run, as a shell script, and run nothing")
flags.DEFINE_alias("dry-run", "dry_run")
_TPU = flags.DEFINE_string("tpu", None, "one slice, as sharding.plan names it: v5e:16x16")
_SLICES = flags.DEFINE_integer("slices", 1, "slices, joined by the data-centre network", lower_bound=1)
_CONFIG = flags.DEFINE_string("config", None, "--config of python -m train")
_RUN = flags.DEFINE_string("run", None, "--run of python -m train, gs://BUCKET/DIRECTORY")
_NAME = flags.DEFINE_string("name", "espalier", "name of the job, and of the machines")
_SET = flags.DEFINE_multi_string("set", [], "--set of python -m train; may be repeated")
_RESTARTS = flags.DEFINE_integer("restarts", 100, "how often it is started again", lower_bound=0)
_SPOT = flags.DEFINE_bool("spot", False, "jobset, queued: machines that may be taken back")
_CHIPS = flags.DEFINE_integer("chips_per_host", 4, "chips of one host", lower_bound=1)
_IMAGE = flags.DEFINE_string("image", "", "jobset, xpk, image: container image with this code installed")
_GRACE = flags.DEFINE_integer("grace", 120, "jobset, xpk: seconds from SIGTERM to SIGKILL", lower_bound=1)
_CLUSTER = flags.DEFINE_string("cluster", "", "xpk: name of the cluster")
_ZONE = flags.DEFINE_string("zone", "", "xpk, queued, ssh: zone of Google Cloud")
_PROJECT = flags.DEFINE_string("project", "", "xpk, queued, ssh: project of Google Cloud; gcloud's own if empty")
_SETUP = flags.DEFINE_string("setup", "", "queued, ssh: shell command that installs this code on a host")


def main(argv: list[str]) -> None:
    """Runs the commands, or prints them."""
    from sharding.pods import ways
    from sharding.pods.commands import script
    from sharding.pods.job import Job
    from sharding.pods.slices import parse

    def needed(*names: str) -> dict[str, str]:
        values = {name: flags.FLAGS[name].value for name in names}
        for name, value in values.items():
            if not value:
                raise console.UsageError(f"--via={_VIA.value} needs --{name}")
        return values

    if _VIA.value == "image":
        commands = ways.Image(**needed("image")).commands(Job("image", "", "gs://none"), parse("v5e:1x1"))
    else:
        given = needed("tpu", "config", "run")
        where = parse(given["tpu"], _CHIPS.value, _SLICES.value)
        job = Job(_NAME.value, given["config"], given["run"], _SET.value, _RESTARTS.value, _SPOT.value)
        way: ways.Way
        match _VIA.value:
            case "jobset":
                way = ways.JobSet(**needed("image"), grace=_GRACE.value)
            case "xpk":
                way = ways.Xpk(**needed("image", "cluster", "zone"), project=_PROJECT.value, grace=_GRACE.value)
            case "queued":
                way = ways.Queued(**needed("zone", "setup"), project=_PROJECT.value)
            case _:
                way = ways.Machines(**needed("zone", "setup"), project=_PROJECT.value)
        commands = way.commands(job, where)
    if _DRY.value:
        print(script(commands), end="")
        return
    for command in commands:
        command.run()


if __name__ == "__main__":
    console.run(main, interrupted="what was started on the pod goes on")
