"""From batches of this host to global arrays on the devices, one batch ahead of the step."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from data.batch import Batch as HostBatch
from data.targets import Field
from sharding.placement import Layout
from train.batch_growth import BatchGrowth


def to_devices(batch: HostBatch, layout: Layout) -> dict[str, jax.Array]:
    """The global batch of which this host has `batch`."""
    return {key: jax.make_array_from_process_local_data(layout.batch, rows) for key, rows in batch.items()}


def feed(batches: Iterator[tuple[int, HostBatch]], layout: Layout) -> Iterator[dict[str, jax.Array]]:
    """Global batches in order. The next one is on its way to the devices while a step runs."""
    ahead = to_devices(next(batches)[1], layout)
    for _, batch in batches:
        ready, ahead = ahead, to_devices(batch, layout)
        yield ready


class Reader:
    """The global batches of a run, from any place in it.

    Args:
      units: this host's units of data from a position on.
      growth: how many a step reads.
      layout: where batches lie.
    """

    def __init__(
        self, units: Callable[[int], Iterator[tuple[int, HostBatch]]], growth: BatchGrowth, layout: Layout
    ) -> None:
        self._units, self._growth, self._layout = units, growth, layout

    def __call__(self, position: int, step: int) -> Iterator[dict[str, jax.Array]]:
        """The batches of the steps after `step` steps, of data from `position` on."""
        return feed(self._growth.grown(self._units(position), step), self._layout)


def abstract_batch(fields: Mapping[str, Field], rows: int, layout: Layout) -> dict[str, Any]:
    """Shapes of a global batch with their shardings, to compile for."""
    return {
        key: jax.ShapeDtypeStruct((rows, *field.shape), field.dtype, sharding=layout.batch)
        for key, field in fields.items()
    }
