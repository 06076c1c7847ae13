"""One program on several processes: joining the job, and meeting the others."""

import dataclasses

import jax

from sharding.peers import watch_for_abort


@dataclasses.dataclass(frozen=True)
class Job:
    """How a process joins a job of several.

    Attributes:
      coordinator: `host:port` of process 0; empty on a single process or where JAX finds it (Cloud TPU).
      processes: number of processes in the job; 0 leaves it to JAX.
      process: index of this process; -1 leaves it to JAX.
      automatic: ask the platform (a TPU pod, SLURM, ...) for all of the above.
      silence: seconds without a heartbeat after which a process counts as dead, and the others end.
    """

    coordinator: str = ""
    processes: int = 0
    process: int = -1
    automatic: bool = False
    silence: int = 100

    def join(self) -> None:
        """Connects this process to the others; must precede any use of devices.

        Raises ValueError if the fields contradict one another.
        """
        if self.automatic:
            jax.distributed.initialize(heartbeat_timeout_seconds=self.silence)
        elif self.coordinator:
            if self.processes < 1 or not 0 <= self.process < self.processes:
                raise ValueError(
                    f"process {self.process} of {self.processes} cannot join {self.coordinator}: give the number of "
                    "processes, and an index from 0 to one less"
                )
            # Gloo carries collectives between CPU processes; accelerators have their own and ignore this.
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
            jax.distributed.initialize(
                self.coordinator, self.processes, self.process, heartbeat_timeout_seconds=self.silence
            )
        if jax.process_count() > 1:
            watch_for_abort()


def is_lead() -> bool:
    """Whether this process is the one that writes logs, reports and other shared files."""
    return jax.process_index() == 0


def meet(name: str) -> None:
    """Waits until every process of the job has come to the point `name`."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
