"""Experts that other devices have: tokens go to them in rounds and come back, under `jax.shard_map`."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from model.dispatch import Experts, Stream
from model.exchange import Exchange, traffic
from model.grouped import grouped
from model.router import Choice
from model.rows import back, ranking, sent, summed

Rows = tuple[Float[Array, "choices embed"], Float[Array, "choices 1"]]


@dataclasses.dataclass(frozen=True, eq=False)
class Distant:
    """Experts that are divided over devices which have tokens of their own.

    Attributes:
      held: this device's experts; they come in the order of devices.
      exchange: how devices reach one another.
      together: mesh axes whose devices all go as many rounds.
      buffer: room for rows, as a multiple of an even share.
    """

    held: Experts
    exchange: Exchange
    together: tuple[str, ...]
    buffer: float

    def __call__(self, x: Stream, choice: Choice) -> Stream:
        """The weighted sum of what the experts of each token give; `choice` counts the experts of all devices."""
        devices, choices = self.exchange.devices, choice.experts
        top_k, embed = choices.shape[-1], x.shape[-1]
        source, slot, own = ranking(choices.reshape(-1), devices * self.held.count)
        counts = jax.lax.all_gather(own, self.exchange.axes).reshape(devices, devices, -1)
        rows = sent(x.reshape(-1, embed), source, slot, top_k), sent(choice.weights.reshape(-1, 1), source, slot, 1)
        # An expert is chosen once by a token: all that can come are so many of each token of each device.
        most = devices * slot.shape[0] // top_k * min(top_k, self.held.count)
        places = min(math.ceil(self.buffer * slot.shape[0]), most)
        run = functools.partial(self.round, places)
        if places < most:
            rounds = -(-counts.sum((0, 2)).max() // places)
            y = _rounds(run, self.held.weights, rows, counts, jax.lax.pmax(rounds, self.together))
        else:
            y = run(self.held.weights, rows, counts, 0)
        return summed(back(y, source, slot).reshape(*choices.shape, embed)).reshape(x.shape)

    def round(
        self, places: int, weights: dict[str, Array], rows: Rows, counts: Int[Array, "devices devices experts"],
        number: int | Array,
    ) -> Float[Array, "choices embed"]:  # fmt: skip
        """What experts give of the rows that are sent in one round, times their weights; 0 for the others.

        Args:
          places: rows a device has room for.
          weights: those of the device's experts.
          rows: this device's, sorted by expert, and what each counts.
          counts: rows by the device they are from, the device they are for, and its experts.
          number: that of the round.
        """
        plan = traffic(counts.sum(-1), number * places, places)
        received, shares = (self.exchange(part, plan, places) for part in rows)
        # They are sorted by sender, and those of one sender by expert.
        pieces = counts[:, jax.lax.axis_index(self.exchange.axes)].reshape(-1)
        piece = jnp.searchsorted(jnp.cumsum(pieces), number * places + jnp.arange(places), side="right")
        owner = jnp.where(piece < pieces.size, piece % self.held.count, self.held.count)
        y = grouped(self.held._replace(weights=weights), received, Choice(owner[:, None], shares))[:, 0]
        return self.exchange(y, plan.reversed, rows[0].shape[0])


Round = Callable[[dict[str, Array], Rows, Array, Array], Array]


def _as_needed(rounds: Array, body: Callable[[tuple[Array, Any]], tuple[Array, Any]], first: Any) -> Any:
    # For whoever reads the compiled program: even loads need none (`sharding.program.loops`).
    with jax.named_scope("expects_0_trips"):
        return jax.lax.while_loop(lambda state: state[0] < rounds, body, (jnp.int32(1), first))[1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rounds(run: Round, weights: dict[str, Array], rows: Rows, counts: Array, rounds: Array) -> Array:
    """The sum of all rounds. For its gradient those beyond the first are computed again, and nothing of them is kept.

    What the first gave is what the others are added to, in the backward pass too: they wait for it, and what it keeps
    is gone by then.
    """
    return _rounds_forward(run, weights, rows, counts, rounds)[0]


def _rounds_forward(
    run: Round, weights: dict[str, Array], rows: Rows, counts: Array, rounds: Array
) -> tuple[Array, tuple[Any, ...]]:
    def body(state: tuple[Array, Array]) -> tuple[Array, Array]:
        return state[0] + 1, state[1] + run(weights, rows, counts, state[0])

    first, pull = jax.vjp(lambda weights, rows: run(weights, rows, counts, jnp.int32(0)), weights, rows)
    return _as_needed(rounds, body, first), (pull, weights, rows, counts, rounds)


def _rounds_backward(run: Round, kept: tuple[Any, ...], dy: Array) -> tuple[Any, ...]:
    first, weights, rows, counts, rounds = kept

    def body(state: tuple[Array, Any]) -> tuple[Array, Any]:
        pull = jax.vjp(lambda weights, rows: run(weights, rows, counts, state[0]), weights, rows)[1]
        return state[0] + 1, jax.tree.map(jnp.add, state[1], pull(dy))

    return *_as_needed(rounds, body, first(dy)), None, None


_rounds.defvjp(_rounds_forward, _rounds_backward)
