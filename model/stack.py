"""Blocks, and stacks of them that are scanned run by run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from model.cache import Cache, LayerCache, mark
from model.config import BlockSpec, TransformerConfig
from model.feedforward import Routing
from model.layers import by_itself
from model.masks import Retention
from model.mixing import Kept, Step
from model.observation import apart, observe, observed, pass_on
from model.parameters import stacked
from model.pipeline import pipelined
from model.pipeline_schedule import schedule_of
from model.plan import Run, plan
from model.position_weights import PositionWeights
from model.remat import STREAM, rematerialised
from model.residual import Norms
from sharding.axes import BATCH, EMBED, SEQ, constrain, platform

# Layers up to which the CPU's faster program is worth the time to compile it.
_UNROLLED = 12


class Noise(NamedTuple):
    """What a block's randomness comes from.

    Attributes:
      key: its own.
      depth: its number, from 1, over the number of blocks.
    """

    key: Array
    depth: Float[Array, ""]


class BlockResult(NamedTuple):
    """What a block gives besides the stream.

    Attributes:
      kept: what its attention keeps of each token, for a cache; None if nobody wants it.
      routing: what its feed-forward layer tells of routing, if it routes.
      seen: what was observed in it; empty if nobody does.
    """

    kept: Kept
    routing: Routing | None
    seen: dict[str, Array] = {}


class Block(nnx.Module):
    """Attention and feed-forward, joined to the residual stream; between them cross attention, if there is any."""

    def __init__(self, config: TransformerConfig, spec: BlockSpec, rngs: nnx.Rngs) -> None:
        self.config, self.spec = config, spec
        self.norms = Norms(config.residual.norms(spec.layers), config.norm, config.sizes, rngs)
        self.attention = spec.attention.build(config.sizes, rngs)
        self.cross = None if spec.cross is None else spec.cross.build(config.sizes, rngs)
        self.feedforward = spec.feedforward.build(config.sizes, rngs)

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        positions: PositionWeights,
        kept: Kept,
        noise: Noise | None,
    ) -> tuple[Float[Array, "batch seq embed"], BlockResult]:
        """One block, over the row itself or over what a cache keeps; nothing is dropped without noise."""
        keys = (None,) * 5 if noise is None else tuple(jax.random.split(noise.key, 5))
        rate, x = self.config.dropout, checkpoint_name(x, STREAM)
        results: dict[str, Any] = {"routing": None}
        own, crossed = kept if self.cross is not None and kept is not None else (kept, None)

        def attend(y: Array) -> Array:
            y, results["kept"] = self.attention(by_itself(y), step, positions.of(self.spec.attention), own, keys[0])
            observe("attention", y)
            return by_itself(drop(y, rate, keys[1]))

        def cross(y: Array) -> Array:
            with apart() as seen:
                y, others = self.cross(by_itself(y), step, positions.of(self.spec.cross), crossed, keys[3])
                observe("attention", y)
            pass_on("cross", seen)
            results["kept"] = (results["kept"], others)
            return by_itself(drop(y, rate, keys[4]))

        def feed(y: Array) -> Array:
            y, results["routing"] = self.feedforward.routed(by_itself(y))
            observe("feedforward", y)
            return by_itself(drop(y, rate, keys[2]))

        def branch(number: int, y: Array) -> Array:
            factor = self.config.parametrization.branch(self.config.layers)
            y = y if factor == 1 else y * jnp.asarray(factor, y.dtype)
            if noise is None:
                return y
            # Numbers from 5 on are no keys of dropout.
            return self.config.residual.thinned(y, noise.depth, jax.random.fold_in(noise.key, 5 + number))

        layers = [attend, feed] if self.cross is None else [attend, cross, feed]
        x = constrain(self.config.residual.join(x, layers, self.norms, branch), BATCH, SEQ, EMBED)
        observe("stream", x)
        return x, BlockResult(results["kept"], results["routing"])


class _Pass(NamedTuple):
    """What varies from one turn of a loop to the next, for each block in its body."""

    weights: tuple[Any, ...]
    kept: tuple[Kept, ...]
    noise: Noise | None


class _Rows(NamedTuple):
    """What is of rows, and goes with them from stage to stage of a pipeline."""

    x: Array
    step: Step


class Stack(nnx.Module):
    """Blocks in order. The weights of those that take the same place in a loop lie together.

    A place is named by its first block: "0" holds all of a stack of equal blocks; a period of three
    local and one global block has the places "0" to "3".
    """

    def __init__(self, config: TransformerConfig, blocks: Sequence[BlockSpec], rngs: nnx.Rngs) -> None:
        self.config, self.plan = config, plan(blocks)
        for run in self.plan.runs:
            for place in run.places:
                spec = self.plan.blocks[place]
                setattr(self, str(place), stacked(lambda r, s=spec: Block(config, s, r), run.repeats, rngs))

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        positions: PositionWeights,
        cache: Cache | None = None,
        dropout_key: Array | None = None,
        keep: bool = False,
    ) -> tuple[Float[Array, "batch seq embed"], dict[str, BlockResult]]:
        """The stream after all blocks, and by place what each gave besides, with a leading axis of repeats."""
        results: dict[str, BlockResult] = {}
        for run in self.plan.runs:
            x, found = self._run(run, x, step, positions, cache, dropout_key, keep)
            results |= found
        return x, results

    def _run(
        self,
        run: Run,
        x: Array,
        step: Step,
        positions: PositionWeights,
        cache: Cache | None,
        dropout_key: Array | None,
        keep: bool,
    ) -> tuple[Array, dict[str, BlockResult]]:
        names = [str(place) for place in run.places]
        split = [nnx.split(getattr(self, name)) for name in names]
        # On a CPU a rolled loop saves its residuals by copies on one thread; there the layers are written out.
        unroll = platform() == "cpu" and self.config.layers <= _UNROLLED

        def block(graph: nnx.GraphDef, where: Step, positions: PositionWeights, rolled: bool) -> Any:
            def call(x: Array, weights: Any, kept: Kept, noise: Noise | None) -> tuple[Array, BlockResult]:
                with apart() as seen:
                    x, result = nnx.merge(graph, weights)(x, where, positions, kept, noise)
                return x, result._replace(kept=result.kept if keep else None, seen=seen)

            return rematerialised(call, self.config.remat, rolled=rolled)

        def through(
            x: Array, steps: Sequence[Step], positions: PositionWeights, turns: _Pass, rolled: bool
        ) -> tuple[Array, tuple[BlockResult, ...]]:
            calls = [block(graph, where, positions, rolled) for (graph, _), where in zip(split, steps, strict=True)]

            def body(x: Array, turn: _Pass) -> tuple[Array, tuple[BlockResult, ...]]:
                found = []
                for i, call in enumerate(calls):
                    noise = None if turn.noise is None else Noise(turn.noise.key[i], turn.noise.depth[i])
                    x, result = call(x, turn.weights[i], turn.kept[i], noise)
                    found.append(result)
                return x, tuple(found)

            return jax.lax.scan(body, x, turns, unroll=unroll)

        kept = tuple(None if cache is None else cache[name].kept for name in names)
        turns = _Pass(tuple(weights for _, weights in split), kept, self._noise(run, dropout_key))
        # What a cache keeps and what is observed is of all rows at once.
        whole = cache is not None or keep or observed()
        if not whole and (schedule := schedule_of(x.shape[0], run.repeats)) is not None:
            graph, shared = nnx.split(positions)

            def stage(rows: _Rows, turns: _Pass, shared: Any, micro: Array) -> tuple[_Rows, Any]:
                turns = turns._replace(noise=_folded(turns.noise, micro))
                x, found = through(rows.x, [rows.step] * run.period, nnx.merge(graph, shared), turns, rolled=True)
                return rows._replace(x=x), found

            (x, _), found = pipelined(stage, schedule, _Rows(x, step), turns, shared)
        else:
            steps = [step if cache is None else _with(cache[name], step) for name in names]
            x, found = through(x, steps, positions, turns, rolled=run.repeats > 1 and not unroll)
        for name, result in zip(names, found, strict=True):
            pass_on(name, result.seen)
        return x, dict(zip(names, found, strict=True))

    def _noise(self, run: Run, dropout_key: Array | None) -> Noise | None:
        """That of each block of a run, [repeats, period]."""
        if dropout_key is None:
            return None
        indices = run.first + jnp.arange(run.repeats * run.period).reshape(run.repeats, run.period)
        keys = jax.vmap(jax.vmap(lambda i: jax.random.fold_in(dropout_key, i)))(indices)
        return Noise(keys, (indices + 1) / self.config.layers)

    def retention(self, place: str) -> Retention:
        """What the mask of a place has a cache hold."""
        return self.plan.blocks[int(place)].attention.mask.retention()

    def has_cross(self, place: str) -> bool:
        """Whether the blocks of a place read an encoder."""
        return self.plan.blocks[int(place)].cross is not None

    def cached(self, results: dict[str, BlockResult], step: Step, cache: Cache) -> Cache:
        """The cache after a step of one token a row."""
        position = step.position[:, 0]

        def marked(name: str, old: LayerCache) -> LayerCache:
            return old._replace(
                kept=results[name].kept, position=mark(old.position, position, self.retention(name))
            )

        return {name: marked(name, old) for name, old in cache.items()}


def _with(cache: LayerCache, step: Step) -> Step:
    return step._replace(cached=cache.position, prompt=cache.prompt)


def _folded(noise: Noise | None, number: Array) -> Noise | None:
    """Noise of a micro-batch: each drops what it drops by itself."""
    return noise and noise._replace(key=jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, number)))(noise.key))


def drop(x: Float[Array, "*shape"], rate: float, key: Array | None) -> Float[Array, "*shape"]:
    """Dropout (Srivastava 2014): zeroes a share `rate` and scales the rest up; the identity without a key."""
    if key is None or not rate:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0).astype(x.dtype)
