"""The training step of an experiment, as `train.loop` would compile it, for a topology that is not at hand."""

import dataclasses
import resource
import time
from collections.abc import Mapping

import jax

from experiments.planning.mismatch import divided
from experiments.planning.occupancy import Occupancy, filled, occupied, too_large
from sharding.axes import active
from sharding.compiler_flags import compiler_options
from sharding.placement import Layout
from sharding.program.dump import compiled_text
from sharding.program.schedule import scheduled
from sharding.topology import Topology
from train.experiment import Experiment
from train.program import Programs


@dataclasses.dataclass(frozen=True)
class Effort:
    """What it took to compile.

    Attributes:
      trace_seconds: to write the program down.
      compile_seconds: the TPU compiler's, as far as it was followed.
      memory_bytes: the most that this process held until then.
    """

    trace_seconds: float
    compile_seconds: float
    memory_bytes: int


class Step:
    """A step on a topology; nothing is compiled before `compile`.

    Raises UsageError where the experiment does not divide over the topology.
    """

    def __init__(self, experiment: Experiment, topology: Topology) -> None:
        self.experiment, self.topology = experiment, topology
        self.layout: Layout = divided(experiment, topology)
        self.programs = Programs.of(experiment, self.layout)
        # The largest batch of a run whose batches grow: what fits then fits always.
        self.units: int = experiment.batch.growth.factor(experiment.steps - 1)

    @property
    def mesh(self) -> Mapping[str, int]:
        """Mesh axis -> devices."""
        return dict(self.layout.mesh.shape)

    @property
    def rows(self) -> int:
        """Rows that a step reads."""
        return self.experiment.batch.batch * self.units

    @property
    def kept_whole(self) -> list[str]:
        """Sentences on weights that the placement would divide and cannot."""
        return self.programs.blueprint.undivided(self.layout)

    def compile(self, whole: bool = True) -> tuple[str | None, Occupancy, Effort]:
        """The program's text, None if the compiler finds no room for it; its memory; and what it took.

        Args:
          whole: to the end; otherwise as far as its schedule, after which the process has to be ended
            (`sharding.program.schedule`).
        """
        began = time.perf_counter()
        lowered, rows = self.programs.lowered(self.units)
        traced = time.perf_counter()
        text: str | None = None
        state, options = self.programs.abstract, compiler_options(self.layout.device_kind)
        try:
            with active(self.layout):
                if whole:
                    compiled, text = compiled_text(lowered, options)
                    found = occupied(compiled, state, rows, self.topology)
                else:
                    text, peak = scheduled(lowered, options)
                    found = filled(peak, state, rows, self.topology)
        except jax.errors.JaxRuntimeError as error:
            wanted = too_large(error)
            if wanted is None:
                raise
            found = occupied(None, state, rows, self.topology, wanted)
        ended = time.perf_counter()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return text, found, Effort(traced - began, ended - traced, most)
