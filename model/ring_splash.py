"""The work of one turn of a ring by the splash kernel, for TPUs."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from model.kernels import FORBIDDEN
from model.masks import AnyArray, Bounds, Full, Mask, Places, Stretch
from model.ring_block import Blame, Found, Pair, Slopes, Work
from model.ring_order import Order
from model.splash import LANES, Splash

# Partly allowed pairs of chunks that look different, each of which is a kernel of its own.
_MOST_KINDS = 8


@dataclasses.dataclass(frozen=True)
class Shifted(Mask):
    """A mask over a stretch of queries and one of keys, which begin at these indices."""

    mask: Mask
    query: int
    key: int

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """That of the whole row."""
        return self.mask.allowed(
            query._replace(index=query.index + self.query), key._replace(index=key.index + self.key)
        )

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """Those of the whole row."""
        return self.mask.bounds(*(Stretch(part.first + start, part.last + start)
                                  for part, start in ((query, self.query), (key, self.key))))  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Tiled(Work):
    """Pallas' splash kernel on each pair of chunks: logits stay on the chip, and blocks that are empty are not visited.

    Attributes:
      splash: sizes of blocks.
      masks: every mask that a pair of chunks may have, without segments.
      kind: [queries' chunks, keys' chunks], which of them; -1 for none.
      segments: whether segments are compared too.
      scale: factor on products of queries and keys.
      softcap: see `Scores`.
    """

    splash: Splash
    masks: tuple[Mask, ...]
    kind: np.ndarray
    segments: bool
    scale: float
    softcap: float

    def forward(self, q: Array, k: Array, v: Array, pair: Pair) -> Found:
        """The kernel, and the log of its sums."""

        def of(kernel: Any) -> Found:
            from model.splash_kernel import with_log_sums

            run = jax.vmap(functools.partial(with_log_sums, kernel))
            mixed, log_sum = run(self._heads(q) * self.scale, k, v, self._segments(pair))
            # Of a query that sees no key here the kernel gives anything at all.
            some = log_sum > FORBIDDEN
            mixed = jnp.where(some[..., None], mixed.astype(jnp.float32), 0)
            return Found(
                mixed.reshape(*q.shape[:-1], -1), jnp.where(some, log_sum, FORBIDDEN).reshape(q.shape[:-1])
            )

        return self._chosen(q, k, pair, of)

    def backward(self, q: Array, k: Array, v: Array, pair: Pair, blame: Blame) -> Slopes:
        """The kernels of the gradient, given the sums over all keys."""

        def of(kernel: Any) -> Slopes:
            from model.splash_kernel import gradients

            run = jax.vmap(functools.partial(gradients, kernel))
            whole = tuple(self._heads(x) for x in (blame.mixed, blame.d_mixed))
            log_sum = blame.log_sum.reshape(q.shape[0], -1, q.shape[-2])
            found = run(self._heads(q) * self.scale, k, v, self._segments(pair), *whole, log_sum)
            d_q, d_k, d_v = (x.astype(jnp.float32) for x in found)
            return Slopes(d_q.reshape(q.shape) * self.scale, d_k, d_v, None)

        return self._chosen(q, k, pair, of)

    def _chosen(self, q: Array, k: Array, pair: Pair, of: Any) -> Any:
        kinds = [int(kind) for kind in np.unique(self.kind[pair.among]) if kind >= 0]
        heads = q.shape[1] * q.shape[2]
        branches = [
            functools.partial(of, self.splash.kernel(self.masks[kind], q.shape[-2], k.shape[-2], heads, self.softcap))
            for kind in kinds
        ]
        if len(branches) == 1:
            return branches[0]()
        # Empty pairs do not come here, whatever stands for them.
        number = np.searchsorted(kinds, self.kind).clip(0, len(kinds) - 1)
        return jax.lax.switch(jnp.asarray(number)[pair.chunks], branches)

    def _heads(self, x: Array) -> Array:
        return x.reshape(x.shape[0], -1, *x.shape[-2:])

    def _segments(self, pair: Pair) -> tuple[Array, Array] | None:
        if not self.segments:
            return None
        return tuple(part.segment.astype(jnp.int32) for part in (pair.query, pair.key))


def tiled(splash: Splash, mask: Mask, segments: bool, order: Order, length: int, scale: float, softcap: float) -> Any:
    """The work of a row of `length` by `splash`; None where chunks are no multiples of 128, or too many are unlike.

    Args:
      splash: sizes of blocks.
      mask: without segments.
      segments: whether segments are compared too.
      order: who holds what; it knows what the mask leaves.
      length: of the row.
      scale: factor on products of queries and keys.
      softcap: see `Scores`.
    """
    assert order.seen is not None
    chunk = length // order.seen.shape[0]
    if chunk % LANES:
        return None
    every, start = mask.period()
    masks: dict[Any, Mask] = {}
    kind = np.full(order.seen.shape, -1)
    for query, key in np.argwhere(order.seen > 0).tolist():
        starts = (query * chunk, key * chunk)
        if order.seen[query, key] == chunk**2:
            name, made = "full", Full()
        else:
            # Pairs that a shift turns into each other are alike.
            alike = every and chunk % every == 0 and min(starts) >= start
            name, made = (query - key if alike else starts), Shifted(mask, *starts)
        kind[query, key] = list(masks).index(name) if name in masks else len(masks)
        masks.setdefault(name, made)
        if len(masks) > _MOST_KINDS:
            return None
    return Tiled(splash, tuple(masks.values()), kind, segments, scale, softcap)
