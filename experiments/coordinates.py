"""How far the activations of a model move in its first steps, by width or depth (Yang 2022, appendix D.1)."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from model.config import TransformerConfig
from model.kernels import attention_logits
from model.observation import observing
from model.positions import default_positions
from model.transformer import DecoderLM
from train.objective import CausalLM
from train.optimizers import Optimizer
from train.state import Blueprint, TrainState
from train.step import make_step

# Fields of specs that grow with the width, besides `embed`.
GROWING = ("hidden", "heads", "kv_heads", "kv_rank", "query_rank")
# What is measured, in the order of the forward pass.
NAMES = ("embedding", "attention logits", "stream", "logits")
ROWS, SEQ = 2, 16

def widened(model: TransformerConfig, width: int, more_heads: bool = True) -> TransformerConfig:
    """The model at another width, with all that grows in proportion, hidden units rounded; the number of blocks stays.

    Args:
      model: the model.
      width: of the result.
      more_heads: whether heads become more, or longer.

    Raises:
      ValueError: if heads or ranks would not be whole.
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
                if field.name == "hidden":
                    # A unit more or less is as good.
                    new, rest = max(1, round(old * width / model.embed)), 0
                if rest or (old and not new):
                    raise ValueError(f"{place} is {old} at width {model.embed}; at width {width} it is no whole number")
                changes[field.name] = new
            else:
                changes[field.name] = grown(old, place)
        return dataclasses.replace(value, **changes)

    parts = {name: grown(getattr(model, name), f"model.{name}") for name in ("attention", "feedforward")}
    return dataclasses.replace(model, embed=width, **parts)


def activations(model: DecoderLM, tokens: Array) -> dict[str, Array]:
    """What `NAMES` says of a batch: attention logits of all blocks, and the stream after the last one."""

    def keep(name: str, value: Any) -> dict[str, Array]:
        if name == "scores":
            return {"attention logits": attention_logits(value.q, value.k, None, value.scores)}
        return {name: value} if name == "stream" else {}

    with observing(keep) as found:
        logits = model(tokens)
    places = {name: [value for key, value in found.items() if key.endswith(name)] for name in NAMES}
    return {
        "embedding": model.embedded(tokens, default_positions(tokens)),
        # Places of a stack may differ in their heads, and each has all of its repeats.
        "attention logits": jnp.concatenate([value.reshape(-1) for value in places["attention logits"]]),
        "stream": places["stream"][-1][-1],
        "logits": logits,
    }


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
    blueprint = Blueprint(dataclasses.replace(model, precision=precision, remat="none"))
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
