"""How far the activations of a model move in its first steps, by width or depth (Yang 2022, appendix D.1)."""

import contextvars
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from model.config import TransformerConfig
from model.kernels import Dense, Dropout, Kernel, Scores, Visibility
from model.mixing import Step
from model.positions import default_positions
from model.transformer import DecoderLM
from train.objective import CausalLM
from train.optimizer import Optimizer
from train.state import Blueprint, TrainState
from train.step import make_step

# Fields of specs that grow with the width, besides `embed`.
GROWING = ("hidden", "heads", "kv_heads", "kv_rank", "query_rank")
# What is measured, in the order of the forward pass.
NAMES = ("embedding", "attention logits", "stream", "logits")
ROWS, SEQ = 2, 16

_recorded: contextvars.ContextVar[list[Array] | None] = contextvars.ContextVar("recorded", default=None)


@dataclasses.dataclass(frozen=True)
class Recording(Kernel):
    """The dense kernel, which also records the scaled products of queries and keys."""

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One softmax over all keys."""
        if (recorded := _recorded.get()) is not None:
            shared = jnp.repeat(k, q.shape[2] // k.shape[2], axis=2)
            recorded.append(scores.scale * jnp.einsum("bqhd,bkhd->bhqk", q, shared))
        return Dense().attend(q, k, v, visibility, scores, dropout)


def widened(model: TransformerConfig, width: int, more_heads: bool = True) -> TransformerConfig:
    """The model at another width, with all that grows in proportion; blocks, vocabulary and experts stay.

    Args:
      model: the model.
      width: of the result.
      more_heads: whether heads become more, or longer.

    Raises:
      ValueError: if something would not be whole.
    """
    grows = [*GROWING] if more_heads else [field for field in GROWING if "heads" not in field]
    if not more_heads:
        grows += ["head_dim", "plain_dim", "rotary_dim", "value_dim"]

    def grown(value: Any, where: str) -> Any:
        if isinstance(value, tuple):
            return tuple(grown(item, where) for item in value)
        if not dataclasses.is_dataclass(value):
            return value
        changes = {}
        for field in dataclasses.fields(value):
            old = getattr(value, field.name)
            place = f"{where}.{field.name}"
            if field.name in grows and isinstance(old, int):
                new, rest = divmod(old * width, model.embed)
                if rest or (old and not new):
                    raise ValueError(f"{place} is {old} at width {model.embed}; at width {width} it is no whole number")
                changes[field.name] = new
            else:
                changes[field.name] = grown(old, place)
        return dataclasses.replace(value, **changes)

    parts = {name: grown(getattr(model, name), f"model.{name}") for name in ("attention", "feedforward")}
    return dataclasses.replace(model, embed=width, **parts)


def recording(model: TransformerConfig) -> TransformerConfig:
    """The model with attention that records its logits."""
    kernel = Recording()

    def changed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(changed(item) for item in value)
        if not dataclasses.is_dataclass(value):
            return value
        own = {field.name: changed(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **(own | ({"kernel": kernel} if "kernel" in own else {})))

    return dataclasses.replace(model, attention=changed(model.attention))


def activations(model: DecoderLM, tokens: Array) -> dict[str, Array]:
    """What `NAMES` says of a batch; attention logits of all blocks, the stream after the last one."""
    step = Step(default_positions(tokens))
    first = x = model.embedded(tokens, step.position)
    token = _recorded.set(recorded := [])
    try:
        for block in _blocks(model):
            x, _ = block(x, step, model.positions, None, None)
    finally:
        _recorded.reset(token)
    return dict(zip(NAMES, (first, jnp.stack(recorded), x, model.logits(x)), strict=True))


def _blocks(model: DecoderLM) -> Iterator[Any]:
    """One by one and not in a loop, out of which nothing could be taken."""
    for run in model.blocks.plan.runs:
        for turn in range(run.repeats):
            for place in run.places:
                graph, state = nnx.split(getattr(model.blocks, str(place)))
                yield nnx.merge(graph, jax.tree.map(lambda weight, i=turn: weight[i], state))


def moved(
    model: TransformerConfig, optimizer: Optimizer, rate: float, steps: int, seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> list[dict[str, float]]:
    """Root mean square of how far activations are from where they began, after 1, 2, ... `steps` steps.

    Steps are of next-token prediction on one batch of random tokens, at a constant learning rate, in float32.

    Args:
      model: the model.
      optimizer: how gradients become updates.
      rate: the learning rate.
      steps: how many steps.
      seed: of weights and tokens.
      options: of the compiler.
    """
    precision = dataclasses.replace(model.precision, weights="float32", compute="float32")
    blueprint = Blueprint(recording(dataclasses.replace(model, precision=precision, remat="none")))
    schedule = optax.constant_schedule(rate)
    transform = optimizer.transform(schedule, blueprint.table)
    tokens = np.random.default_rng(seed).integers(model.vocab, size=(ROWS, SEQ + 1), dtype=np.int32)
    batch = {
        "inputs": jnp.asarray(tokens[:, :-1]), "targets": jnp.asarray(tokens[:, 1:]), "weights": jnp.ones((ROWS, SEQ))
    }
    step = make_step(blueprint, CausalLM(), transform, schedule, seed=seed)

    def look(weights: Any) -> dict[str, Array]:
        return activations(blueprint.model(weights), batch["inputs"])

    def compiled(function: Callable[..., Any], *arguments: Any) -> Any:
        return jax.jit(function).lower(*arguments).compile(dict(options or {}))

    weights = compiled(blueprint.weights, key := jax.random.key(seed))(key)
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(zero, zero, weights, transform.init(weights), {})
    step, look = compiled(step, state, batch), compiled(look, weights)
    start, found = look(state.weights), []
    for _ in range(steps):
        state, _ = step(state, batch)
        now = look(state.weights)
        found.append({name: float(jnp.sqrt(jnp.mean(jnp.square(now[name] - start[name])))) for name in NAMES})
    return found


def slope(sizes: Sequence[int], found: Sequence[float]) -> float:
    """The power of size that figures grow with: a line through their logarithms, by least squares."""
    if any(value <= 0 for value in found):
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(found), 1)[0])
