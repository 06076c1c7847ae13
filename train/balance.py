"""What a training step does with the figures of routers: metrics, and biases that even out the load of experts."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from model.encoder_decoder import EncoderDecoderConfig
from model.moe import MoE
from model.spec import ModelSpec, OfStacks

Figures = dict[str, Array]
# Before the place of a layer that is of an encoder beside a decoder.
_ENCODER = "encoder/"


def router_metrics(figures: Figures) -> dict[str, Float[Array, ""]]:
    """Metrics of figures by `place/name`: each the mean over all layers that route.

    `train/router_max_load` is the largest load of an expert over the mean load: 1 when all are equal.
    """
    gathered: dict[str, list[Array]] = {}
    for key, value in figures.items():
        name = key.split("/")[-1]
        of_layers = value.max(-1) * value.shape[-1] if name == "load" else value
        gathered.setdefault("max_load" if name == "load" else name, []).append(of_layers)
    return {f"train/router_{name}": jnp.concatenate(values).mean() for name, values in gathered.items()}


def balanced(weights: Any, figures: Figures, config: ModelSpec) -> Any:
    """Weights whose balance biases have moved by the loads that `figures` tell of (Wang 2024, algorithm 1)."""
    if isinstance(config, EncoderDecoderConfig):
        own = {key: value for key, value in figures.items() if not key.startswith(_ENCODER)}
        read = {key.removeprefix(_ENCODER): value for key, value in figures.items() if key not in own}
        encoder = balanced(weights["encoder"], read, config.encoder)
        return {**weights, "encoder": encoder, "decoder": balanced(weights["decoder"], own, config.decoder)}
    stack, blocks = config.stacks[-1] if isinstance(config, OfStacks) else config, dict(weights["blocks"])
    for key, load in figures.items():
        place, name = key.split("/")
        spec = stack.blocks[int(place)].feedforward
        if name == "load" and isinstance(spec, MoE) and spec.balance.has_bias:
            layer = blocks[place]["feedforward"]
            bias = spec.balance.moved(layer["balance_bias"], load)
            blocks[place] = {**blocks[place], "feedforward": {**layer, "balance_bias": bias}}
    return {**weights, "blocks": blocks}
