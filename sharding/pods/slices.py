"""TPU slices by the names that JAX, GKE and Cloud TPU each have for them, and several of a kind."""

import dataclasses
import math
import re

from data.console import UsageError, nearest


@dataclasses.dataclass(frozen=True)
class Generation:
    """A TPU generation, as in the tables of https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus.

    Attributes:
      label: GKE's `cloud.google.com/gke-tpu-accelerator`.
      accelerator: prefix of Cloud TPU's `--accelerator-type`; empty where only GKE has it.
      runtime: Cloud TPU's `--runtime-version`.
      cores: what one chip counts for in `--accelerator-type`.
      dimensions: of a topology.
    """

    label: str
    accelerator: str
    runtime: str
    cores: int
    dimensions: int


GENERATIONS = {
    "v4": Generation("tpu-v4-podslice", "v4", "tpu-ubuntu2204-base", 2, 3),
    "v5e": Generation("tpu-v5-lite-podslice", "v5litepod", "v2-alpha-tpuv5-lite", 1, 2),
    "v5p": Generation("tpu-v5p-slice", "v5p", "v2-alpha-tpuv5", 2, 3),
    "v6e": Generation("tpu-v6e-slice", "v6e", "v2-alpha-tpuv6e", 1, 2),
    "tpu7x": Generation("tpu7x", "", "", 2, 3),
}


@dataclasses.dataclass(frozen=True)
class Slice:
    """Chips that are joined by their own network, or several such slices, joined by the data-centre network.

    Attributes:
      generation: of the chips.
      topology: `16x16`, chips along each axis.
      chips_per_host: chips that one host, and one process, has.
      slices: number of slices.
    """

    generation: Generation
    topology: str
    chips_per_host: int = 4
    slices: int = 1

    @property
    def chips(self) -> int:
        """Chips in a slice."""
        return math.prod(map(int, self.topology.split("x")))

    @property
    def hosts(self) -> int:
        """Hosts of a slice."""
        return max(1, self.chips // self.chips_per_host)

    @property
    def accelerator_type(self) -> str:
        """Cloud TPU's name, `v5litepod-256`."""
        return f"{self.generation.accelerator}-{self.chips * self.generation.cores}"


def parse(name: str, chips_per_host: int = 4, slices: int = 1) -> Slice:
    """A slice by the name that `sharding.plan` uses: `v5e:16x16`.

    Raises UsageError for a generation, or a shape, that there is not.
    """
    kind, _, topology = name.partition(":")
    if kind not in GENERATIONS:
        raise UsageError(f"--tpu is {name!r}; there is no {kind!r}{nearest(kind, GENERATIONS)}; "
                         f"there are {', '.join(GENERATIONS)}")  # fmt: skip
    generation = GENERATIONS[kind]
    shape = "x".join(["N"] * generation.dimensions)
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", topology) or topology.count("x") != generation.dimensions - 1:
        raise UsageError(f"--tpu is {name!r}; a topology of {kind} is written {kind}:{shape}")
    found = Slice(generation, topology, chips_per_host, slices)
    if found.chips > chips_per_host and found.chips % chips_per_host:
        raise UsageError(f"--tpu is {name!r}: hosts of {chips_per_host} chips cannot make up {found.chips}")
    if slices > 1 and found.hosts == 1:
        raise UsageError(f"--slices is {slices}, and {name} is one host; slices that are joined have several hosts")
    return found
