"""Rows that devices send one another, as many as each has for each: what `jax.shard_map` runs on a device."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

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
    """Of the rows that devices have for one another: those that each receives from number `first` on, `most` at most.

    A sender has its rows in the order of the devices they are for, and a receiver gets them in the order of the
    devices they are from.
    """
    number = jnp.cumsum(counts, axis=0) - counts
    begin = jnp.clip(number, first, first + most)
    end = jnp.clip(number + counts, first, first + most)
    return Traffic(jnp.cumsum(counts, axis=1) - counts + begin - number, begin - first, end - begin)


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
        """What a device receives, 0 in places that nothing is sent to. Its gradient goes the way back."""
        return _moved(self, rows, plan, places)

    def moved(self, rows: Float[Array, "rows embed"], plan: Traffic, places: int) -> Float[Array, "places embed"]:
        """The same without a gradient of its own."""
        me = jax.lax.axis_index(self.axes)
        if platform() != "cpu":
            empty = jnp.zeros((places, rows.shape[1]), rows.dtype)
            sizes = plan.size[me], plan.size[:, me]
            arguments = (plan.start[me], sizes[0], plan.place[me], sizes[1])
            return jax.lax.ragged_all_to_all(rows, empty, *arguments, axis_name=self.axes)
        # XLA's CPU backend sends blocks of one size alone.
        most = min(rows.shape[0], places)
        offset = jnp.arange(most)
        chosen = jnp.where(offset < plan.size[me][:, None], plan.start[me][:, None] + offset, rows.shape[0])
        blocks = jax.lax.all_to_all(_read(rows, chosen.reshape(-1)), self.axes, 0, 0, tiled=True)
        begin, end = plan.place[:, me], plan.place[:, me] + plan.size[:, me]
        place = jnp.arange(places)
        sender = jnp.minimum(jnp.searchsorted(end, place, side="right"), self.devices - 1)
        there = (place >= begin[sender]) & (place < end[sender])
        return _read(blocks, jnp.where(there, sender * most + place - begin[sender], blocks.shape[0]))


def _read(rows: Float[Array, "rows embed"], chosen: Int[Array, " others"]) -> Float[Array, "others embed"]:
    return jnp.take(rows, chosen, axis=0, mode="fill", fill_value=0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def _moved(exchange: Exchange, rows: Array, plan: Traffic, places: int) -> Array:
    return exchange.moved(rows, plan, places)


def _moved_forward(exchange: Exchange, rows: Array, plan: Traffic, places: int) -> tuple[Array, tuple[Traffic, Array]]:
    # Of `rows` only their number is needed again.
    return exchange.moved(rows, plan, places), (plan, jnp.zeros((rows.shape[0], 0)))


def _moved_backward(exchange: Exchange, places: int, kept: tuple[Traffic, Array], dy: Array) -> tuple[Array, None]:
    plan, rows = kept
    return exchange.moved(dy, plan.reversed, rows.shape[0]), None


_moved.defvjp(_moved_forward, _moved_backward)
