"""A mesh axis of trials, outside those of a placement: runs that share nothing, side by side."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sharding.axes import within_share
from sharding.placement import Layout, Placement, PlacementError, arranged, complete_shape

# No logical axis is mapped to it: a placement does not know of it.
TRIAL = "trial"


def beside(placement: Placement, trials: int, devices: Sequence[jax.Device] | None = None) -> Layout:
    """The layout of one trial of several, on a mesh with all of them.

    As many trials lie apart as their number and the devices allow; what devices are left over go to the placement, if
    it takes all that remain, and are idle otherwise.

    Args:
      placement: of each trial.
      trials: how many there are.
      devices: by default all of the job.

    Raises PlacementError where there are too few devices for one trial.
    """
    chosen = list(jax.devices() if devices is None else devices)
    shape = placement.mesh_shape()
    least = math.prod(size for size in shape.values() if size > 0)
    if least > len(chosen):
        raise PlacementError(f"a trial takes {least} devices, and there are {len(chosen)}; make its mesh smaller")
    ways = max(n for n in range(1, trials + 1) if trials % n == 0 and n * least <= len(chosen))
    each = len(chosen) // ways if -1 in shape.values() else least
    each -= each % least
    whole = {TRIAL: ways, **complete_shape(shape, each)}
    return Layout(Mesh(arranged(whole, chosen[: ways * each]), tuple(whole)), placement)


def stacked(sharding: NamedSharding) -> NamedSharding:
    """The sharding of [trials, ...], of that of one trial's array."""
    return NamedSharding(sharding.mesh, PartitionSpec(TRIAL, *sharding.spec))


def each(function: Callable[..., Any], layout: Layout, shared: int = 0) -> Callable[..., Any]:
    """What `function` does for one trial, for all of them: arguments and results have [trials, ...].

    On accelerators it is one batched program. A CPU multiplies small matrices one by one faster than in batches, so
    that where a trial has one device each device goes through its trials in turn.

    Args:
      function: of one trial.
      layout: of one trial.
      shared: of the last arguments, how many are the same for all trials and have no axis of them.
    """

    def one_by_one(*arguments: Any) -> Any:
        split = len(arguments) - shared

        def of_device(*arguments: Any) -> Any:
            with within_share():
                return jax.lax.map(lambda own: function(*own, *arguments[split:]), arguments[:split])

        specs = (*[PartitionSpec(TRIAL)] * split, *[PartitionSpec()] * shared)
        program = jax.shard_map(
            of_device, mesh=layout.mesh, in_specs=specs, out_specs=PartitionSpec(TRIAL), check_vma=False
        )
        return program(*arguments)

    def batched(*arguments: Any) -> Any:
        axes = (*[0] * (len(arguments) - shared), *[None] * shared)
        return jax.vmap(function, axes, spmd_axis_name=TRIAL)(*arguments)

    alone = layout.mesh.size == layout.mesh.shape[TRIAL]
    return one_by_one if alone and layout.platform == "cpu" else batched
