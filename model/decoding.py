"""Sampling text: a batch of prompts of different lengths, one prefill, then a token a step from the cache."""

import abc
import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from model.encoder_decoder import EncoderDecoder
from model.transformer import DecoderLM
from sharding.axes import constrain


@dataclasses.dataclass(frozen=True)
class Sampler(abc.ABC):
    """How the next token is chosen."""

    @abc.abstractmethod
    def choose(self, logits: Float[Array, "batch vocab"], key: Array) -> Int[Array, " batch"]:
        """One token a row."""


@dataclasses.dataclass(frozen=True)
class Greedy(Sampler):
    """The most probable token."""

    def choose(self, logits: Float[Array, "batch vocab"], key: Array) -> Int[Array, " batch"]:
        """The arg max; `key` is not used."""
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)


@dataclasses.dataclass(frozen=True)
class Sample(Sampler):
    """A draw from softmax(logits / temperature), cut to the top.

    Attributes:
      temperature: above 0; below 1 favours probable tokens.
      top_k: keep the k most probable tokens; 0 keeps all.
      top_p: keep the most probable tokens until they hold this probability (Holtzman 2019); 1 keeps all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}; it is above 0 (use Greedy for the limit)")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it is 0 (all) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it is above 0 and at most 1")

    def choose(self, logits: Float[Array, "batch vocab"], key: Array) -> Int[Array, " batch"]:
        """One draw a row."""
        return jax.random.categorical(key, self.kept(logits), axis=-1).astype(jnp.int32)

    def kept(self, logits: Float[Array, "batch vocab"]) -> Float[Array, "batch vocab"]:
        """Logits over the temperature, with -inf at what is cut: first by k, then by p."""
        logits = logits / self.temperature
        if self.top_k:
            least = jax.lax.top_k(logits, min(self.top_k, logits.shape[-1]))[0][:, -1:]
            logits = jnp.where(logits < least, -jnp.inf, logits)
        if self.top_p < 1:
            ordered = -jnp.sort(-logits, axis=-1)
            probabilities = jax.nn.softmax(ordered, axis=-1)
            before = jnp.cumsum(probabilities, axis=-1) - probabilities
            least = jnp.min(jnp.where(before < self.top_p, ordered, jnp.inf), axis=-1, keepdims=True)
            logits = jnp.where(logits < least, -jnp.inf, logits)
        return logits


def generate(
    model: DecoderLM | EncoderDecoder,
    prompts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    sampler: Sampler | None = None,
    seed: int = 0,
    stop: int | None = None,
    sources: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """Continues each prompt by up to `new_tokens` tokens.

    Args:
      model: a decoder, or an encoder-decoder.
      prompts: token ids; lengths may differ, none may be empty.
      new_tokens: the most to add to each.
      sampler: how tokens are chosen; greedily by default.
      seed: of the draws.
      stop: a row ends before this token, if given.
      sources: for an encoder-decoder, what its encoder reads, one row a prompt.

    Returns:
      The new tokens of each prompt.

    Raises:
      ValueError: for no or empty prompts, no new tokens, or where the position encoding is too short.
    """
    lengths = [len(prompt) for prompt in prompts]
    if not lengths or min(lengths) < 1:
        raise ValueError("a prompt is empty; give each at least one token")
    if new_tokens < 1:
        raise ValueError(f"new_tokens is {new_tokens}; it is at least 1")
    longest = max(lengths) + new_tokens
    limit = (model.decoder if isinstance(model, EncoderDecoder) else model).config.longest
    if limit is not None and longest > limit[0]:
        raise ValueError(
            f"a prompt of {max(lengths)} tokens and {new_tokens} new ones need {longest} positions; "
            f"{type(limit[1]).__name__} has {limit[0]}"
        )
    graph, weights = nnx.split(model)
    context = () if sources is None else _padded(sources)
    made = _generate(
        graph, weights, *_padded(prompts), context, jax.random.key(seed), sampler or Greedy(), new_tokens
    )
    return [_until(row, stop) for row in np.asarray(made).tolist()]


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Rows of one length, and how many tokens of each are real."""
    lengths = [len(row) for row in rows]
    # To a multiple, so that rows of nearby lengths share a compiled program.
    tokens = np.zeros((len(rows), -(-max(lengths) // 32) * 32), np.int32)
    for padded, row in zip(tokens, rows, strict=True):
        padded[: len(row)] = row
    return jnp.asarray(tokens), jnp.asarray(lengths, jnp.int32)


def _until(row: list[int], stop: int | None) -> list[int]:
    return row[: row.index(stop)] if stop is not None and stop in row else row


@functools.partial(jax.jit, static_argnames=("graph", "sampler", "new_tokens"))
def _generate(
    graph: nnx.GraphDef,
    weights: nnx.State,
    tokens: Array,
    lengths: Array,
    context: tuple[Array, ...],
    key: Array,
    sampler: Sampler,
    new_tokens: int,
) -> Array:
    model = nnx.merge(graph, weights)
    logits, cache = model.prefill(tokens, lengths, tokens.shape[1] + new_tokens, *context)

    def advance(carry: tuple, i: Array) -> tuple[tuple, Array]:
        logits, cache = carry
        token = sampler.choose(logits, jax.random.fold_in(key, i))
        return model.decode(token, lengths + i, cache), token

    # The last token needs no step of its own: its logits are asked by nobody.
    (logits, _), made = jax.lax.scan(advance, (logits, cache), jnp.arange(new_tokens - 1))
    last = sampler.choose(logits, jax.random.fold_in(key, new_tokens - 1))
    # Every process has to read the whole of it.
    return constrain(jnp.concatenate([made, last[None]], axis=0).T, None, None)
