"""What any model costs, by the type of its spec: decoders, encoders with a head, encoders with decoders."""

import dataclasses
import functools
from typing import Any, NamedTuple

from model.config import TransformerConfig
from model.cost import (
    active_weight_count,
    cache_bytes,
    cache_bytes_per_token,
    forward_flops_per_token,
    weight_count,
)
from model.encoder import MaskedLMConfig
from model.encoder_decoder import EncoderDecoderConfig


class Cost(NamedTuple):
    """What a model costs at a context.

    Attributes:
      weights: number of weights.
      active: those that take part in one token.
      flops: of the forward pass, a token.
      growth: bytes that a token adds to a decoding cache, while no mask lets go of older ones; None: no cache.
      cache: bytes of the cache of one row of the context; None: no cache.
    """

    weights: int
    active: int
    flops: float
    growth: int | None
    cache: int | None


@functools.singledispatch
def cost(config: Any, context: int, number_bytes: int) -> Cost:
    """The cost of a model.

    Args:
      config: its spec.
      context: tokens of a row; of an encoder-decoder's source and of its target alike.
      number_bytes: bytes of a number in the cache; 2 in bfloat16.

    Raises TypeError for a spec that is no model.
    """
    raise TypeError(f"{type(config).__name__} is no model")


@cost.register
def _(config: TransformerConfig, context: int, number_bytes: int) -> Cost:
    return Cost(
        weight_count(config), active_weight_count(config), forward_flops_per_token(config, context),
        cache_bytes_per_token(config, number_bytes), cache_bytes(config, context, number_bytes),
    )  # fmt: skip


@cost.register
def _(config: MaskedLMConfig, context: int, number_bytes: int) -> Cost:
    stack = config.encoder
    head = stack.embed * (stack.embed + 1) + config.norm.weight_count(stack.embed) + stack.vocab
    flops = forward_flops_per_token(stack, context) + 2.0 * stack.embed**2
    return Cost(weight_count(stack) + head, active_weight_count(stack) + head, flops, None, None)


@cost.register
def _(config: EncoderDecoderConfig, context: int, number_bytes: int) -> Cost:
    """FLOPs are those of a target token, with its share of a source as long as the target."""
    encoder, decoder = dataclasses.replace(config.encoder, tie_embeddings=True), config.decoder
    embed = decoder.embed
    blocks = [dataclasses.replace(block, cross=config.cross) for block in decoder.blocks]
    shared = encoder.vocab * embed if config.share_embedding else 0
    reading = config.cross.matmul_weights(embed) + context * config.cross.features_per_key(embed)
    flops = forward_flops_per_token(encoder, context) - 2.0 * embed * encoder.vocab  # it has no logits
    flops += forward_flops_per_token(decoder, context) + 2.0 * decoder.layers * reading
    kept = decoder.layers * config.cross.kept_per_token(embed) * context * number_bytes
    return Cost(
        weight_count(encoder) + weight_count(decoder, blocks) - shared,
        active_weight_count(encoder) + active_weight_count(decoder, blocks) - shared,
        flops,
        cache_bytes_per_token(decoder, number_bytes),
        cache_bytes(decoder, context, number_bytes) + kept,
    )
