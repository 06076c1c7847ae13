"""Rows that devices send one another, as many as each has for each: what runs on a device, under `jax.shard_map`."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from model.rows import picked
from sharding.axes import platform


class Traffic(NamedTuple):
    """Which rows go from where to where, by device that sends and device that receives.

    Attributes:
      start: the first of the rows, among those of the sender.
      place: the first of their places, among those of the receiver.
      size: number of rows.
    """

    start: Int[Array, "devices devices"]
    place: Int[Array, "devices devices"]
    size: Int[Array, "devices devices"]

    @property
    def reversed(self) -> "Traffic":
        """The same rows, sent back to where they came from."""
        return Traffic(self.place.T, self.start.T, self.size.T)


def traffic(counts: Int[Array, "devices devices"], first: int | Array, most: int) -> Traffic:
    """Of the rows that devices have for one another, `most` that each receives, from number `first` on.

    Args:
      counts: rows by sender and receiver. A sender has its rows in the order of the devices they are for, and a
        receiver counts them in the order of the devices they are from.
      first: number of the first row that goes now.
      most: places of a receiver.
    """
    number = jnp.cumsum(counts, axis=0) - counts
    begin, end = (jnp.clip(x, first, first + most) for x in (number, number + counts))
    passed = jnp.clip(first - number, 0, counts)
    return Traffic(jnp.cumsum(counts, axis=1) - counts + passed, begin - first, end - begin)


@dataclasses.dataclass(frozen=True)
class Exchange:
    """How rows are sent over mesh axes.

    Attributes:
      axes: the mesh axes.
      devices: number of devices along them.
    """

    axes: tuple[str, ...]
    devices: int

    def __call__(self, rows: Float[Array, "rows embed"], plan: Traffic, places: int) -> Float[Array, "places embed"]:
        """What a device receives, 0 in places that nothing is sent to; gradients go the way back."""
        return _moved(self, (rows.shape[0], places), rows, plan)

    def moved(self, rows: Float[Array, "rows embed"], plan: Traffic, places: int) -> Float[Array, "places embed"]:
        """The same, without a gradient."""
        me = jax.lax.axis_index(self.axes)
        outward, inward = plan.size[me], plan.size[:, me]
        if platform() != "cpu":
            empty = jnp.zeros((places, rows.shape[1]), rows.dtype)
            return jax.lax.ragged_all_to_all(
                rows, empty, plan.start[me], outward, plan.place[me], inward, axis_name=self.axes
            )
        # XLA's CPU backend sends blocks of one size alone.
        most = min(rows.shape[0], places)
        number = jnp.arange(most)
        chosen = jnp.where(number < outward[:, None], plan.start[me][:, None] + number, rows.shape[0])
        blocks = jax.lax.all_to_all(picked(rows, chosen.reshape(-1)), self.axes, 0, 0, tiled=True)
        begin, place = plan.place[:, me], jnp.arange(places)
        sender = jnp.minimum(jnp.searchsorted(begin + inward, place, side="right"), self.devices - 1)
        number = place - begin[sender]
        there = (number >= 0) & (number < inward[sender])
        return picked(blocks, jnp.where(there, sender * most + number, blocks.shape[0]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _moved(exchange: Exchange, sizes: tuple[int, int], rows: Array, plan: Traffic) -> Array:
    return exchange.moved(rows, plan, sizes[1])


_moved.defvjp(
    lambda exchange, sizes, rows, plan: (exchange.moved(rows, plan, sizes[1]), plan),
    lambda exchange, sizes, plan, dy: (exchange.moved(dy, plan.reversed, sizes[0]), None),
)
