"""TPU topologies by name, `v5e:16x16`, as abstract devices to compile for: no TPU is touched."""

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

from data.console import UsageError
from sharding.chips import GIB, Chip, chip_for
from sharding.pods.slices import GENERATIONS, parse

# Chips of the largest slice of a generation (Cloud TPU's documentation of each).
_LARGEST = {"v4": 4096, "v5e": 256, "v5p": 6144, "v6e": 256, "tpu7x": 9216}
_FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
# Below a cube of 4 x 4 x 4 chips a slice is a part of it; above, it is made of such cubes.
_PARTS_OF_CUBE = ((1, 2, 2), (2, 2, 2), (2, 2, 4), (2, 4, 4))
_CUBE = 4
# GiB of one device that a program may have, as the compiler says of one that wants more ("exceeds available HBM"); the
# runtime keeps the rest.
_USABLE = {"v4": 30.75, "v5e": 15.75, "v5p": 95.73, "v6e": 31.24, "tpu7x": 94.74}
# What libtpu, once loaded, would ask of a network that is not there, and complain about.
_UNASKED = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}


@dataclasses.dataclass(frozen=True)
class Topology:
    """Chips of one generation in the shape of a torus, once or in several slices.

    Attributes:
      generation: `v5e`.
      shape: chips along each axis.
      slices: of that shape, joined by the data-centre network.
    """

    generation: str
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def name(self) -> str:
        """`v5e:16x16`, as JAX names one slice."""
        return f"{self.generation}:{'x'.join(map(str, self.shape))}"

    @property
    def chips(self) -> int:
        """Chips of all slices."""
        return math.prod(self.shape) * self.slices

    @property
    def chip(self) -> Chip:
        """What one of its JAX devices has."""
        return chip_for(self.generation)

    @property
    def usable_bytes(self) -> int:
        """Memory of one of its JAX devices that a program may have."""
        return int(_USABLE[self.generation] * GIB)

    def devices(self) -> list[Any]:
        """Abstract devices of all slices.

        Raises UsageError without libtpu, or where libtpu has no such topology.
        """
        from jax.experimental import topologies

        for name, value in _UNASKED.items():
            os.environ.setdefault(name, value)
        options = dict(self.chip.topology_options)
        if self.slices > 1:
            options["num_slices"] = self.slices
        try:
            found = topologies.get_topology_desc(platform="tpu", topology_name=self.name, **options)
        except Exception as error:  # noqa: BLE001 - without libtpu, or with an older one, the reason comes in many types
            said = " ".join(str(error).split())
            raise UsageError(f"--topology is {self.name!r}, which libtpu does not give: {said}") from error
        return list(found.devices)

    def __str__(self) -> str:
        return self.name if self.slices == 1 else f"{self.slices} slices of {self.name}"


def parse_topology(name: str, slices: int = 1) -> Topology:
    """The topology of this name.

    Raises UsageError for a generation or a shape that Cloud TPU does not have, with the nearest that it has.
    """
    try:
        # Whether hosts can make it up is the table's affair here.
        found = parse(name, chips_per_host=1)
    except UsageError as error:
        raise UsageError(str(error).replace("--tpu", "--topology")) from None
    if slices < 1:
        raise UsageError(f"--slices is {slices}; there is at least 1")
    generation = name.partition(":")[0]
    shape = tuple(map(int, found.topology.split("x")))
    known = list(shapes(generation))
    if tuple(sorted(shape)) not in known:
        best = min(known, key=lambda other: _distance(tuple(sorted(shape)), other))
        near = Topology(generation, _written(best))
        raise UsageError(
            f"--topology is {name!r}, a shape in which there is no {generation}; the nearest is {near.name}, "
            f"with {near.chips} {'chips' if near.chips > 1 else 'chip'}"
        )
    return Topology(generation, shape, slices)


def shapes(generation: str) -> Iterator[tuple[int, ...]]:
    """Shapes of one slice that there are, each sorted; fewest chips first, the most cubic first among equals."""
    largest = _LARGEST[generation]
    if GENERATIONS[generation].dimensions == len(_FLAT[0]):
        yield from _FLAT
        return
    yield from _PARTS_OF_CUBE
    edges = range(_CUBE, math.isqrt(largest) + 1, _CUBE)
    cubes = itertools.combinations_with_replacement(edges, 3)
    yield from sorted((c for c in cubes if math.prod(c) <= largest), key=lambda c: (math.prod(c), c[-1] - c[0]))


def larger(topology: Topology) -> Iterator[Topology]:
    """Topologies of the same generation and number of slices with more chips, fewest first."""
    held = math.prod(topology.shape)
    for shape in shapes(topology.generation):
        if math.prod(shape) > held:
            yield dataclasses.replace(topology, shape=_written(shape))


def _written(shape: tuple[int, ...]) -> tuple[int, ...]:
    # A host of 2 x 2 x 1 chips is written with its 1 last.
    return (2, 2, 1) if shape == _PARTS_OF_CUBE[0] else shape


def _distance(wanted: tuple[int, ...], other: tuple[int, ...]) -> tuple[float, float]:
    chips = abs(math.log(math.prod(wanted)) - math.log(math.prod(other)))
    return chips, sum(abs(math.log(a / b)) for a, b in zip(wanted, other, strict=True))
