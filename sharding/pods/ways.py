"""The ways to a pod: a JobSet on GKE, xpk, a queued resource of Cloud TPU, machines that are there, and the image."""

import abc
import dataclasses
import shlex

from data import exits
from data.console import UsageError
from sharding.pods import jobset, queued
from sharding.pods.commands import Command
from sharding.pods.container import recipe
from sharding.pods.job import Job
from sharding.pods.slices import Slice


class Way(abc.ABC):
    """How a job comes to its machines."""

    @abc.abstractmethod
    def commands(self, job: Job, where: Slice) -> list[Command]:
        """What is run on the machine of the person who starts it, in order."""


@dataclasses.dataclass(frozen=True)
class JobSet(Way):
    """A JobSet, given to a cluster of Google Kubernetes Engine.

    Attributes:
      image: container image with this code installed.
      grace: seconds from SIGTERM to SIGKILL.
    """

    image: str
    grace: int = 120

    def commands(self, job: Job, where: Slice) -> list[Command]:
        """`kubectl apply`."""
        return [Command(("kubectl", "apply", "-f", "-"), jobset.rendered(job, where, self.image, grace=self.grace))]


@dataclasses.dataclass(frozen=True)
class Xpk(Way):
    """A workload of xpk, on a cluster that `xpk cluster create` made.

    Flags: https://github.com/AI-Hypercomputer/xpk, `xpk workload create --help`.

    Attributes:
      image: container image with this code installed.
      cluster: name of the cluster.
      zone: of Google Cloud.
      project: of Google Cloud; gcloud's own if empty.
      grace: seconds from SIGTERM to SIGKILL.
    """

    image: str
    cluster: str
    zone: str
    project: str = ""
    grace: int = 120

    def commands(self, job: Job, where: Slice) -> list[Command]:
        """`xpk workload create`."""
        if not where.generation.accelerator:
            raise UsageError("--via=xpk knows slices by Cloud TPU's names, which these have not; use --via=jobset")
        return [
            Command((
                "xpk", "workload", "create",
                f"--cluster={self.cluster}", f"--zone={self.zone}", *_given("project", self.project),
                f"--workload={job.name}", f"--tpu-type={where.accelerator_type}", f"--num-slices={where.slices}",
                f"--docker-image={self.image}", f"--command={shlex.join(job.command())}",
                f"--max-restarts={job.restarts}",
                f"--restart-on-exit-codes={','.join(map(str, exits.restartable()))}",
                f"--termination-grace-period-seconds={self.grace}",
            ))
        ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Queued(Way):
    """A queued resource of Cloud TPU, asked for again whenever it was taken back.

    Attributes:
      zone: of Google Cloud.
      setup: shell command that installs this code on a host.
      project: of Google Cloud; gcloud's own if empty.
    """

    zone: str
    setup: str
    project: str = ""

    def commands(self, job: Job, where: Slice) -> list[Command]:
        """A script that waits for the end of the run."""
        if not where.generation.accelerator:
            raise UsageError("Cloud TPU has no queued resources of this generation; use --via=jobset")
        return [Command(("bash", "-s"), queued.rendered(job, where, self.zone, self.setup, project=self.project))]


@dataclasses.dataclass(frozen=True)
class Machines(Way):
    """TPU machines that are there already, by ssh: the same command on each host, supervised.

    Attributes:
      zone: of Google Cloud.
      setup: shell command that installs this code on a host.
      project: of Google Cloud; gcloud's own if empty.
    """

    zone: str
    setup: str
    project: str = ""

    def commands(self, job: Job, where: Slice) -> list[Command]:
        """`gcloud compute tpus tpu-vm ssh`, to all hosts of the TPU that has the job's name."""
        if where.slices > 1:
            raise UsageError(f"--via=ssh reaches one slice, and --slices is {where.slices}; use --via=queued or jobset")
        there = f"{self.setup} && {shlex.join(job.command('--supervise', f'--restarts={job.restarts}'))}"
        return [
            Command((
                "gcloud", "compute", "tpus", "tpu-vm", "ssh", job.name, f"--zone={self.zone}",
                *_given("project", self.project), "--worker=all", f"--command={there}",
            ))
        ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Image(Way):
    """The container image that `JobSet` and `Xpk` run, built from this checkout and pushed.

    Attributes:
      image: its name, REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG.
    """

    image: str

    def commands(self, job: Job, where: Slice) -> list[Command]:
        """`docker build` and `docker push`; the job and its slice do not matter."""
        build = ("docker", "build", "--platform=linux/amd64", f"--tag={self.image}", "--file=-", ".")
        return [Command(build, recipe()), Command(("docker", "push", self.image))]


def _given(flag: str, value: str) -> list[str]:
    return [f"--{flag}={value}"] if value else []
