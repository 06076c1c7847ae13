"""What a search tries: meshes, sizes of micro-batches, rematerialisation and kernels, each as changes to a config."""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator

from data.spec import describe, flatten, override
from experiments.planning.residuals import stacks_of
from model.feedforward import FeedForward
from sharding.placement import Placement
from sharding.placements import Combined
from sharding.topology import Topology
from train.experiment import Experiment

# Blocks of the attention kernel: queries and keys of a block forwards, and of the backward pass.
_KERNELS = (
    "Splash(queries=512,keys=512,inner=512)",
    "Splash(queries=1024,keys=1024,inner=1024,fused_backward=true)",
    "Splash(queries=2048,keys=2048,inner=1024,backward_queries=1024,backward_keys=1024,fused_backward=true)",
)
# From the least memory to the most. `minimal` and `save_qkv` are left out: the first keeps what `save_products` does,
# written in another layout, the second runs attention again; so are those that wait in the host's memory, of which a
# closed form of the device's knows nothing.
_POLICIES = ("full", "save_attention", "save_query_attention", "save_qkv_attention", "save_products", "none")
# Axes whose transfers stand in the way of arithmetic are kept within what joins well.
_MOST_TENSOR, _MOST_EXPERT = 16, 64
_DOUBLINGS = 5
_BATCHES = (0.25, 0.5, 2.0, 4.0)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A config with changes.

    Attributes:
      changes: each a `--set`, besides those that were asked for.
      experiment: the result.
    """

    changes: tuple[str, ...]
    experiment: Experiment


def candidates(experiment: Experiment, topology: Topology, devices: int, batches: bool = False) -> Iterator[Candidate]:
    """All with the config's kernels; those that cannot be are passed over.

    Args:
      experiment: the config.
      topology: where it is to run.
      devices: of the topology.
      batches: whether the number of rows in a step may change.
    """
    placements = list(_placements(experiment, topology, devices))
    rows = experiment.batch.batch
    sizes = [rows] + ([int(rows * factor) for factor in _BATCHES if rows * factor >= 1] if batches else [])
    bases = [(remat, found.experiment) for remat in _policies(experiment) if (found := changed(experiment, remat))]
    for size, (placement, placed) in itertools.product(sizes, placements):
        for accumulate in _accumulations(size, placement.batch_divisor(devices), experiment):
            changes = (f"batch.accumulate={accumulate}",) if accumulate != experiment.batch.accumulate else ()
            changes += (f"batch.batch={size}",) if size != rows else ()
            batch = dataclasses.replace(experiment.batch, batch=size, accumulate=accumulate)
            for remat, base in bases:
                try:
                    found = dataclasses.replace(base, batch=batch, placement=placement)
                except ValueError:
                    continue
                yield Candidate((*placed, *remat, *changes), found)


def with_kernels(experiment: Experiment, base: tuple[str, ...]) -> Iterator[Candidate]:
    """A candidate's changes with other blocks of the attention kernel. These have no closed form; they are compiled."""
    keys = [key for key in flatten(describe(experiment.model)) if re.search(r"attention\.kernel(\.type)?$", key)]
    for kernel in _KERNELS if keys else ():
        changes = (*base, *(f"model.{key.removesuffix('.type')}={kernel}" for key in keys))
        if (found := changed(experiment, changes)) is not None:
            yield found


def changed(experiment: Experiment, changes: tuple[str, ...]) -> Candidate | None:
    """The candidate of these changes; None if there can be no such experiment."""
    try:
        return Candidate(changes, override(experiment, list(changes)))
    except ValueError:
        return None


def meshes_of(experiment: Experiment, topology: Topology, devices: int) -> Iterator[Combined]:
    """Factorisations of the devices of a slice that the model divides by.

    Sequences and stages are divided as the config has them, since that is also a choice of the model's kernels; so is
    the optimizer's state, where the config divides it beyond the weights.
    """
    base = experiment.placement if isinstance(experiment.placement, Combined) else Combined()
    given = experiment.placement.mesh_shape()
    context, stage = max(1, given.get("context", 1)), max(1, given.get("stage", 1))
    each = devices // topology.slices
    if each % (context * stage):
        return
    left = each // (context * stage)
    for tensor in _divisors(left, min(_MOST_TENSOR, left)):
        for expert in _divisors(left // tensor, _MOST_EXPERT):
            if not _divides(experiment, tensor, expert):
                continue
            for data in _divisors(left // tensor // expert, left):
                fsdp = left // tensor // expert // data
                yield dataclasses.replace(
                    base, slices=topology.slices, data=data, stage=stage, fsdp=fsdp, expert=expert, context=context,
                    tensor=tensor,
                )  # fmt: skip


def _placements(
    experiment: Experiment, topology: Topology, devices: int
) -> Iterator[tuple[Placement, tuple[str, ...]]]:
    """The config's own, for which nothing is to be said, and the other meshes, each with its change."""
    own = experiment.placement
    try:
        own.batch_divisor(devices)
    except ValueError:
        # It is for another number of devices.
        pass
    else:
        yield own, ()
    for mesh in meshes_of(experiment, topology, devices):
        if not _same(own, mesh, devices):
            yield mesh, (f"placement={_written(mesh)}",)


def _divides(experiment: Experiment, tensor: int, expert: int) -> bool:
    for stack in stacks_of(experiment.model):
        for block in dict.fromkeys(stack.blocks):
            keys = getattr(block.attention, "key_heads", block.attention.heads)
            if block.attention.heads % tensor or keys % tensor or stack.vocab % tensor:
                return False
            if expert > 1 and _experts(block.feedforward) % expert:
                return False
        # Layers without experts are divided by the same devices, as a batch.
        if expert > 1 and not any(_experts(block.feedforward) for block in stack.blocks):
            return False
    return True


def _experts(feedforward: FeedForward) -> int:
    return int(getattr(feedforward, "experts", 0))


def _accumulations(rows: int, ways: int, experiment: Experiment) -> Iterator[int]:
    """Numbers of micro-batches in which a batch divides: the config's own, one, and doublings."""
    doublings = (2**power for power in range(_DOUBLINGS))
    for accumulate in sorted({experiment.batch.accumulate, *doublings}):
        if rows % (accumulate * ways) == 0:
            yield accumulate


def _policies(experiment: Experiment) -> list[tuple[str, ...]]:
    """Changes of rematerialisation; no change is the config's own."""
    keys = flatten(describe(experiment.model))
    remats = [key for key in keys if key.split(".")[-1] == "remat"]
    own = {keys[key] for key in remats}
    return [()] + [tuple(f"model.{key}={name}" for key in remats) for name in _POLICIES if remats and {name} != own]


def _divisors(number: int, most: int) -> list[int]:
    return [part for part in range(1, min(number, most) + 1) if number % part == 0]


def _same(placement: Placement, mesh: Combined, devices: int) -> bool:
    """Whether a placement is this mesh, and divides as much over it."""
    if placement.optimizer != mesh.optimizer:
        return False
    shape = placement.mesh_shape()
    rest = devices // math.prod(size for size in shape.values() if size > 0)
    filled = {name: rest if size == -1 else size for name, size in shape.items()}
    return {name: size for name, size in filled.items() if size > 1} == {
        name: size for name, size in mesh.mesh_shape().items() if size > 1
    }


def _written(mesh: Combined) -> str:
    changed = (
        f"{field.name}={value}" for field in dataclasses.fields(mesh)
        if (value := getattr(mesh, field.name)) != field.default
    )  # fmt: skip
    return f"{type(mesh).__name__}({','.join(changed)})"
