"""Attention over a sequence that is divided over devices: keys and values go round in a ring."""

import dataclasses
import functools
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from model.fused import kernel_for
from model.kernels import Dropout, Kernel, Scores, Visibility
from model.masks import Places, at_least
from model.ring_block import Plain, Work, fitting
from model.ring_order import Order, dealt, gathered, order, unplanned
from model.ring_pass import KEPT, Inputs, ring_attention
from model.ring_splash import tiled
from model.splash import Splash, lowered
from sharding.axes import BATCH, HEAD_DIM, HEADS, SEQ, laid_out, mesh, platform, spread, ways


@dataclasses.dataclass(frozen=True)
class Ring(Kernel):
    """Ring attention (Liu 2023, arXiv:2310.01889): each device has its stretch of queries, and keys come to it.

    A device holds the keys and values of two stretches at most, and logits of one block: memory goes with the
    sequence over its number of shares. Takes any mask, segments, shared key heads, softcap, sinks. Pairs of stretches
    that the mask empties are not computed; of a window only the neighbours that it reaches are visited. A bias
    and the pattern of dropout are those of all pairs, shared out by queries.

    Where the sequence is not divided, as in decoding a token at a time, it is `within`. Indices that are not plain (a
    prefix that the batch gives, padded prompts) are all computed, and in the order of the row.

    Attributes:
      within: the kernel for sequences that are not divided; None picks by platform.
      block: queries in a block of logits, and keys.
      zigzag: whether devices may hold two chunks from either end of the sequence, where that shares out work better.
    """

    within: Kernel | None = None
    block: int = 512
    zigzag: bool = True

    divided: ClassVar[bool] = True
    names_output: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, self, "block", "a block holds at least 1 query")

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One round of the keys, on each device's share of batch and heads."""
        queries, keys, shares = q.shape[1], k.shape[1], ways(SEQ)
        if shares == 1 or queries % shares:
            within = self.within or kernel_for(platform())
            found = within.attend(q, k, v, visibility, scores, dropout)
            return found if within.names_output else checkpoint_name(found, KEPT)
        batch, _, heads, _ = laid_out(q.shape, BATCH, SEQ, HEADS, HEAD_DIM).spec
        names = spread(SEQ)
        # Keys that do not divide, an encoder's output of odd length, every device has whole.
        round_ = names if keys % shares == 0 else ()
        known = visibility.plain and queries == keys
        plan = order(visibility.mask, queries, shares, self.zigzag) if known else unplanned(shares if round_ else 1)
        kept = None
        if dropout is not None:
            # As drawn without any division, so that nothing depends on it.
            kept = jax.random.bernoulli(dropout.key, 1 - dropout.rate, (q.shape[0], q.shape[2], queries, keys))
        rate = 0.0 if dropout is None else dropout.rate
        work = self._work(visibility, scores, rate, plan, queries)
        share = _Share(plan, names, round_, work)
        repeated = math.lcm(k.shape[2], _size(heads)) // k.shape[2]
        k, v = (x if repeated == 1 else jnp.repeat(x, repeated, axis=2) for x in (k, v))
        places = (visibility.query, visibility.key)
        if known:
            places = tuple(part._replace(index=None) for part in places)
        given = (q, k, v, _four(scores.bias), kept, scores.sinks, *places)
        specs = (
            PartitionSpec(batch, names, heads, None),
            *(PartitionSpec(batch, round_ or None, heads, None),) * 2,
            *(None if x is None else _of_pairs(x, batch, heads, names) for x in given[3:5]),
            None if scores.sinks is None else PartitionSpec(heads),
            *(
                Places(*(None if x is None else PartitionSpec(None if x.shape[0] == 1 else batch, along) for x in part))
                for part, along in zip(places, (names, round_ or None), strict=True)
            ),
        )
        return jax.shard_map(share, mesh=mesh(), in_specs=specs, out_specs=specs[0], check_vma=False)(*given)

    def _work(self, seen: Visibility, scores: Scores, rate: float, plan: Order, queries: int) -> Work:
        """How a pair of chunks is computed: by the splash kernel where it can."""
        within, needed = self.within or kernel_for(platform()), None
        if plan.seen is not None:
            mask = lowered(seen.mask, seen.query.segment is not None)
            there = isinstance(within, Splash) and (within.interpret or platform() == "tpu")
            if there and mask is not None and scores.bias is None and not rate:
                work = tiled(within, *mask, plan, queries, scores.scale, scores.softcap)
                if work is not None:
                    return work
            block = fitting(self.block, queries // plan.seen.shape[0])
            needed = seen.mask.blocks(queries, queries, block, first=0) > 0
        return Plain(seen.mask, scores.scale, scores.softcap, rate, self.block, needed)


class _Share(NamedTuple):
    """What each device does with its share."""

    order: Order
    names: tuple[str, ...]
    round: tuple[str, ...]
    work: Work

    def __call__(
        self, q: Array, k: Array, v: Array, bias: Array | None, kept: Array | None, sinks: Array | None,
        query: Places, key: Places,
    ) -> Array:  # fmt: skip
        deal = functools.partial(_dealt, self.names, self.order)
        turn = functools.partial(_dealt, self.round, self.order)
        batch, rows, heads, features = q.shape
        kv_heads = k.shape[2]
        grouped = q.reshape(batch, rows, kv_heads, heads // kv_heads, features).transpose(0, 2, 3, 1, 4)
        k, v = (x.transpose(0, 2, 1, 3) for x in (k, v))
        bias, kept = (None if x is None else _grouped(x, kv_heads) for x in (bias, kept))
        found = ring_attention(self.order, self.round, self.work)(
            Inputs(
                deal(grouped, 3), turn(k, 2), turn(v, 2),
                None if sinks is None else sinks.reshape(kv_heads, -1),
                deal(bias, 3), deal(kept, 3),
                Places(*(deal(x, 1) for x in query)), Places(*(turn(x, 1) for x in key)),
            )
        )  # fmt: skip
        found = gathered(found, self.names, self.order, 3)
        return found.transpose(0, 3, 1, 2, 4).reshape(batch, rows, heads, -1)


def _dealt(names: tuple[str, ...], order: Order, x: Array | None, axis: int) -> Array | None:
    return None if x is None else dealt(x, names, order, axis)


def _grouped(x: Array, kv_heads: int) -> Array:
    """[batch, heads, queries, keys] as [batch, kv_heads, group, queries, keys]; one head for all stays one."""
    heads = (1, 1) if x.shape[1] == 1 else (kv_heads, x.shape[1] // kv_heads)
    return x.reshape(x.shape[0], *heads, *x.shape[2:])


def _four(bias: Array | None) -> Array | None:
    return bias if bias is None or bias.ndim == 4 else bias[None]


def _of_pairs(x: Any, batch: Any, heads: Any, names: tuple[str, ...]) -> PartitionSpec:
    """How [batch or 1, heads or 1, queries, keys] lies: by queries."""
    return PartitionSpec(None if x.shape[0] == 1 else batch, None if x.shape[1] == 1 else heads, names, None)


def _size(axes: Any) -> int:
    names = () if axes is None else (axes,) if isinstance(axes, str) else axes
    return math.prod(mesh().shape[name] for name in names)
