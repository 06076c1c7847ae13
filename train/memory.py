"""What a device holds while it does a step, by category, known before the first step is done."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax

from train.state import TrainState


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device.

    Attributes:
      weights: the weights that learn.
      optimizer: what the optimizer keeps.
      objective: what the objective keeps.
      batch: the rows of a step; a second batch is on its way while a step runs, and is not counted.
      temporary: gradients, activations and other temporaries at their most, as the compiler planned them.
      peak: all of it at the most, as the compiler planned it; None where it does not say (a CPU's leaves out
        temporaries).
    """

    weights: int
    optimizer: int
    objective: int
    batch: int
    temporary: int
    peak: int | None

    def figures(self) -> dict[str, float]:
        """`perf/memory_CATEGORY_bytes`."""
        said = dataclasses.asdict(self)
        return {f"perf/memory_{name}_bytes": float(size) for name, size in said.items() if size is not None}

    def __str__(self) -> str:
        parts = {name: size for name, size in dataclasses.asdict(self).items() if name != "peak" and size}
        told = ", ".join(f"{name} {_mib(size)}" for name, size in parts.items())
        return f"{told} a device" + ("" if self.peak is None else f"; at most {_mib(self.peak)} at once")


def memory_of(compiled: jax.stages.Compiled, state: TrainState, batch: Mapping[str, Any]) -> Memory:
    """The memory of a compiled step; `state` and `batch` are shapes with shardings."""
    planned = compiled.memory_analysis()
    temporary = 0 if planned is None else int(planned.temp_size_in_bytes)
    peak = 0 if planned is None else int(getattr(planned, "peak_memory_in_bytes", 0))
    held = (held_by(tree) for tree in (state.weights, state.optimizer, state.objective, dict(batch)))
    return Memory(*held, temporary, peak if peak > temporary else None)


def held_by(tree: Any) -> int:
    """Bytes that one device holds of a tree of shapes with shardings."""
    return sum(
        leaf.dtype.itemsize * math.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in jax.tree.leaves(tree)
    )


def _mib(number: int) -> str:
    return f"{number / 2**20:,.1f} MiB" if number < 2**30 else f"{number / 2**30:,.2f} GiB"
