"""Placements: a mesh shape and tables from logical axes to mesh axes, made concrete on devices."""

import abc
import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sharding.axes import BLOCKS, Pipeline, here, manual

MeshAxes = str | tuple[str, ...]
Rules = Mapping[str, MeshAxes]
# The one mesh axis whose devices are joined by the data-centre network rather than by the chips' own.
SLICE = "slice"


class PlacementError(ValueError):
    """A placement that cannot be: indivisible devices, or two axes of one array on one mesh axis."""


@dataclasses.dataclass(frozen=True)
class Placement(abc.ABC):
    """A parallelism strategy. Subclasses give the mesh shape as fields and the rules as tables.

    `weights` maps the logical axes of parameters, `activations` those of activations and inputs.
    A logical axis in neither table is replicated, save `blocks`: pieces of work that any device can do apart from
    the others are spread over all of them.

    `optimizer` maps the axes of weights as they lie between steps, and of what the optimizer keeps of each; without
    it that is as they are computed with. An array that leaves a mesh axis of this table unused, since it has no such
    logical axis or of no such size, is divided over it in whatever dimension is largest.
    """

    weights: ClassVar[Rules] = {}
    activations: ClassVar[Rules] = {}
    optimizer: ClassVar[Rules | None] = None

    @abc.abstractmethod
    def mesh_shape(self) -> dict[str, int]:
        """Mesh axis -> size, outermost first. One size may be -1: all the devices that remain."""

    def batch_divisor(self, devices: int) -> int:
        """Number of ways in which the global batch is split on `devices` devices, and in time by a pipeline.

        A rule for `batch` that names the mesh axis of `stages` has all stages work on their share of the rows where
        there is no pipeline, as in the embedding.
        """
        return self._parts("batch", devices) * self.pipeline(devices).micro // self.stages(devices)

    def sequence_divisor(self, devices: int) -> int:
        """Number of parts that a row is cut into on `devices` devices."""
        return self._parts("seq", devices)

    def stages(self, devices: int) -> int:
        """Number of stages of a pipeline on `devices` devices; 1: there is none."""
        return self._parts("stages", devices)

    def pipeline(self, devices: int) -> Pipeline:
        """How a batch goes through the stages: once, in as many micro-batches, the fewest that keep all at work."""
        return Pipeline(self.stages(devices))

    def _parts(self, axis: str, devices: int) -> int:
        shape = complete_shape(self.mesh_shape(), devices)
        return math.prod(shape.get(name, 1) for name in _as_tuple(self.activations.get(axis, ())))

    def on(self, devices: Sequence[jax.Device] | None = None) -> "Layout":
        """The placement on real (or abstract) devices; by default on all devices of the job."""
        chosen = jax.devices() if devices is None else list(devices)
        shape = complete_shape(self.mesh_shape(), len(chosen))
        array = arranged(shape, chosen)
        return Layout(Mesh(array, tuple(shape)), self)


def complete_shape(shape: Mapping[str, int], devices: int) -> dict[str, int]:
    """Fills in the -1 of a mesh shape for a number of devices.

    Raises PlacementError if the sizes do not multiply to the number of devices.
    """
    fixed = math.prod(size for size in shape.values() if size != -1)
    free = [name for name, size in shape.items() if size == -1]
    wanted = " x ".join(f"{name} {size}" for name, size in shape.items())
    if len(free) > 1 or any(size == 0 or size < -1 for size in shape.values()):
        raise PlacementError(f"mesh {wanted}: sizes are positive, and at most one may be -1")
    if devices % fixed or (not free and fixed != devices):
        raise PlacementError(
            f"mesh {wanted} does not fit {devices} devices: the sizes multiply to {fixed}, which would have to "
            + ("divide the number of devices" if free else "be the number of devices")
        )
    return {name: devices // fixed if size == -1 else size for name, size in shape.items()}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A placement on a concrete mesh: gives the sharding of every weight, activation and input."""

    mesh: Mesh
    placement: Placement

    @functools.cached_property
    def platform(self) -> str:
        """Platform of the devices: `cpu`, `gpu` or `tpu`."""
        return str(self.mesh.devices.flat[0].platform)

    @property
    def device_kind(self) -> str:
        """What its devices call themselves."""
        return str(self.mesh.devices.flat[0].device_kind)

    @property
    def replicated(self) -> NamedSharding:
        """Sharding of a value that every device holds whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch(self) -> NamedSharding:
        """Sharding of an input array [batch, ...]."""
        return NamedSharding(self.mesh, self._spec(("batch",), self.placement.activations))

    def weight(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> NamedSharding:
        """Sharding of a weight with these logical axes; a dimension that does not divide stays whole."""
        spec = self._spec(axes, self.placement.weights)
        return NamedSharding(self.mesh, self._divisible(spec, shape))

    @property
    def apart(self) -> bool:
        """Whether weights lie between steps in smaller shares than they are computed with."""
        return self.placement.optimizer is not None and self.mesh.size > 1

    def kept(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> NamedSharding:
        """Sharding of a weight between steps, and of what the optimizer keeps in its shape."""
        rules = self.placement.optimizer
        if rules is None:
            return self.weight(axes, shape)
        spec = self._divisible(self._spec(axes, rules), shape)
        entries = [() if entry is None else _as_tuple(entry) for entry in spec]
        used = {name for entry in entries for name in entry}
        for name in self.mesh.shape:
            if name in used or not any(name in _as_tuple(rule) for rule in rules.values()):
                continue
            shares = [size // self._ways(entry) for size, entry in zip(shape, entries, strict=True)]
            fitting = [i for i, share in enumerate(shares) if share % self.mesh.shape[name] == 0]
            if fitting:
                largest = max(fitting, key=lambda i: shares[i])
                entries[largest] += (name,)
        return NamedSharding(self.mesh, PartitionSpec(*(_entry(names) for names in entries)))

    def activation(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> NamedSharding | None:
        """Sharding of an activation; None on one device, where a constraint would only cost fusions.

        Within the function of a `jax.shard_map`, of the activation of one device of its axes.
        """
        if self.mesh.size == 1:
            return None
        spec = self._spec(axes, self.placement.activations, without=manual())
        return NamedSharding(here(self.mesh), self._divisible(spec, shape))

    def spread(self, axis: str) -> tuple[str, ...]:
        """Mesh axes of more than one device that this logical axis of activations is divided over.

        Within the function of a `jax.shard_map`, those of them that are not its own.
        """
        rule = _as_tuple(self.placement.activations.get(axis, ()))
        return tuple(name for name in rule if self.mesh.shape.get(name, 1) > 1 and name not in manual())

    def replicas(self) -> tuple[str, ...]:
        """Mesh axes of more than one device that divide the batch and no weight, outermost first."""
        dividing = {name for rule in self.placement.weights.values() for name in _as_tuple(rule)}
        return tuple(name for name in self.spread("batch") if name not in dividing)

    def pipeline(self) -> Pipeline:
        """How a batch goes through the stages of a pipeline."""
        return self.placement.pipeline(self.mesh.size)

    def undivided(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> list[str]:
        """Sentences on the dimensions of a weight that a rule would shard and their size does not allow."""
        spec = self._spec(axes, self.placement.weights)
        kept = self._divisible(spec, shape)
        return [
            f"{axis} of {size} is not divisible by {self._ways(wanted)} ({wanted})"
            for axis, size, wanted, got in zip(axes, shape, spec, kept, strict=True)
            if wanted is not None and got is None
        ]

    def _spec(self, axes: tuple[str | None, ...], rules: Rules, without: tuple[str, ...] = ()) -> PartitionSpec:
        entries: list[MeshAxes | None] = []
        owner: dict[str, str] = {}
        for axis in axes:
            otherwise = tuple(self.placement.mesh_shape()) if axis == BLOCKS else ()
            wanted = () if axis is None else _as_tuple(rules.get(axis, otherwise))
            wanted = tuple(name for name in wanted if name in self.mesh.shape and name not in without)
            for mesh_axis in wanted:
                if mesh_axis in owner:
                    raise PlacementError(
                        f"{type(self.placement).__name__}: logical axes '{owner[mesh_axis]}' and '{axis}' of one "
                        f"array are both mapped to mesh axis '{mesh_axis}'; an array can use a mesh axis once"
                    )
                owner[mesh_axis] = str(axis)
            entries.append(_entry(wanted))
        return PartitionSpec(*entries)

    def _divisible(self, spec: PartitionSpec, shape: tuple[int, ...]) -> PartitionSpec:
        return PartitionSpec(
            *(entry if entry is None or size % self._ways(entry) == 0 else None
              for entry, size in zip(spec, shape, strict=True))
        )

    def _ways(self, entry: MeshAxes) -> int:
        return math.prod(self.mesh.shape[axis] for axis in _as_tuple(entry))


def _as_tuple(entry: MeshAxes) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry)


def _entry(names: tuple[str, ...]) -> MeshAxes | None:
    return None if not names else names[0] if len(names) == 1 else names


def arranged(shape: Mapping[str, int], devices: list[jax.Device]) -> np.ndarray:
    """Devices as an array of this shape, near ones along its axes."""
    sizes = tuple(shape.values())
    # mesh_utils follows the torus on TPUs; elsewhere (and for abstract CPU devices) order is all there is.
    if devices[0].platform == "tpu":
        from jax.experimental import mesh_utils

        slices = len({getattr(device, "slice_index", None) for device in devices})
        if slices == 1:
            # An axis of the torus is split only where the mesh cannot be had otherwise.
            return mesh_utils.create_device_mesh(sizes, devices=devices, allow_split_physical_axes=True)
        if shape.get(SLICE, 1) != slices:
            raise PlacementError(
                f"mesh has {shape.get(SLICE, 1)} on axis '{SLICE}', and the devices are of {slices} slices; "
                f"a placement with slices={slices} fits"
            )
        within = tuple(1 if name == SLICE else size for name, size in shape.items())
        between = tuple(size if name == SLICE else 1 for name, size in shape.items())
        return mesh_utils.create_hybrid_device_mesh(
            within, between, devices=devices, allow_split_physical_axes=True
        )
    return np.asarray(devices, dtype=object).reshape(sizes)
