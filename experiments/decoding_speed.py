"""What a token costs that is sampled after a long context: time, and what the cache keeps."""

import dataclasses
import functools
import time
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Int

from experiments.restore import check_decoder
from experiments.samples import on_every_device
from model.cache import Cache
from model.transformer import DecoderLM
from sharding.axes import active
from train.experiment import Experiment
from train.hooks import Hook, Moment

# The first tokens, by which the program is compiled and memory is touched, are not counted.
_REPEATS = 5


@dataclasses.dataclass(frozen=True)
class DecodingSpeed(Hook):
    """Measures greedy decoding at the last evaluation.

    `perf/decoding_milliseconds` is the time of a token of all rows, the least of a few stretches, since whatever else
    the machine does only adds to it; `perf/decoding_cache_bytes` is what a row's cache takes.

    Attributes:
      context: tokens before.
      rows: that are decoded at once.
      tokens: in a stretch.
    """

    context: int = 2048
    rows: int = 8
    tokens: int = 32

    def __post_init__(self) -> None:
        for field in ("context", "rows", "tokens"):
            if getattr(self, field) < 1:
                raise ValueError(f"DecodingSpeed.{field} is {getattr(self, field)}; it is at least 1")

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError for a model that does not continue texts, or not as far."""
        check_decoder(experiment.model, "hooks: DecodingSpeed is asked for, and model")
        needed = self.context + (_REPEATS + 1) * self.tokens
        if (longest := experiment.model.longest) is not None and longest[0] < needed:
            raise ValueError(f"hooks: DecodingSpeed needs {needed} positions, and the model has {longest[0]}")

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """The figures, after the last step."""
        if moment.step < moment.experiment.steps:
            return {}
        with active(on_every_device(moment.experiment.placement.on())):
            graph, weights = nnx.split(moment.model())
            prompts = jnp.zeros((self.rows, self.context), jnp.int32)
            token, cache = prefilled(graph, weights, prompts, self.context + (_REPEATS + 1) * self.tokens)
            taken = []
            for n in range(_REPEATS + 1):
                began = time.perf_counter()
                position = jnp.full(self.rows, self.context + n * self.tokens, jnp.int32)
                token, cache = jax.block_until_ready(decoded(graph, weights, token, position, cache, self.tokens))
                taken.append(time.perf_counter() - began)
        kept = sum(x.nbytes for layer in cache.values() for x in jax.tree.leaves(layer.kept))
        return {
            "perf/decoding_milliseconds": 1e3 * min(taken[1:]) / self.tokens,
            "perf/decoding_cache_bytes": float(kept / self.rows),
        }


@functools.partial(jax.jit, static_argnames=("graph", "capacity"))
def prefilled(
    graph: nnx.GraphDef, weights: nnx.State, prompts: Int[Array, "rows seq"], capacity: int
) -> tuple[Int[Array, " rows"], Cache]:
    """The most probable token after each prompt, and a cache with room for `capacity` tokens."""
    model: DecoderLM = nnx.merge(graph, weights)
    logits, cache = model.prefill(prompts, jnp.full(prompts.shape[0], prompts.shape[1], jnp.int32), capacity)
    return jnp.argmax(logits, -1).astype(jnp.int32), cache


@functools.partial(jax.jit, static_argnames=("graph", "tokens"), donate_argnames="cache")
def decoded(
    graph: nnx.GraphDef, weights: nnx.State, token: Int[Array, " rows"], position: Int[Array, " rows"], cache: Cache,
    tokens: int,
) -> tuple[Int[Array, " rows"], Cache]:  # fmt: skip
    """The last of `tokens` most probable ones after `token`, which stands at `position`, and the cache with them."""
    model: DecoderLM = nnx.merge(graph, weights)

    def one(carry: tuple[Array, Cache], i: Array) -> tuple[tuple[Array, Cache], None]:
        token, cache = carry
        logits, cache = model.decode(token, position + i, cache)
        return (jnp.argmax(logits, -1).astype(jnp.int32), cache), None

    return jax.lax.scan(one, (token, cache), jnp.arange(tokens))[0]
