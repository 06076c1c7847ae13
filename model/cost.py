"""What a decoder costs, by closed form from its spec: weights, FLOPs of a forward pass, memory of a decoding cache."""

import functools
from collections.abc import Callable, Sequence

from model.cache import slots_for
from model.config import BlockSpec, TransformerConfig
from model.feedforward import FeedForward
from model.mixing import Mixing


def weight_count(config: TransformerConfig, blocks: Sequence[BlockSpec] | None = None) -> int:
    """Number of weights.

    Args:
      config: the spec.
      blocks: the blocks, where they are not the config's own: those of a decoder that reads an encoder.
    """
    return _count(config, blocks, lambda feedforward: feedforward.weight_count(config.embed))


def active_weight_count(config: TransformerConfig, blocks: Sequence[BlockSpec] | None = None) -> int:
    """Number of weights that take part in one token: of experts only those that it goes through.

    The whole embedding table counts, as where models are published as "active parameters" (Mixtral, Jiang 2024).
    """
    return _count(config, blocks, lambda feedforward: feedforward.active_weight_count(config.embed))


def forward_flops_per_token(config: TransformerConfig, sequence: int, every_key: bool = False) -> float:
    """FLOPs of the forward pass over a row, a token: 2 a matmul weight, and 2 a multiplication in attention.

    A third of `TransformerConfig.flops_per_token`, which counts training (Chowdhery 2022, appendix B).

    Args:
      config: the spec.
      sequence: tokens of the row.
      every_key: count masked-out keys too, as a dense kernel computes them; else they count nothing.
    """
    total = 2.0 * config.embed * config.vocab
    for block in config.blocks:
        matmuls = block.attention.matmul_weights(config.embed) + block.feedforward.matmul_weights(config.embed)
        seen = sequence if every_key else _seen(block.attention, sequence)
        total += 2.0 * matmuls + 2.0 * seen * block.attention.features_per_key(config.embed)
    return total


def cache_bytes_per_token(config: TransformerConfig, number_bytes: int) -> int:
    """Bytes by which a token makes a decoding cache grow, while no layer's mask lets go of older ones.

    Args:
      config: the spec.
      number_bytes: bytes of a number; 2 in bfloat16.
    """
    return number_bytes * sum(block.attention.kept_per_token(config.embed) for block in config.blocks)


def cache_bytes(config: TransformerConfig, context: int, number_bytes: int) -> int:
    """Bytes of the decoding cache of one row of `context` tokens, of which masks may let go of some.

    Leaves out the positions of slots, 4 bytes a slot for all layers that share one.

    Args:
      config: the spec.
      context: tokens of the row.
      number_bytes: bytes of a number; 2 in bfloat16.
    """
    return number_bytes * sum(
        slots_for(block.attention.mask.retention(), context) * block.attention.kept_per_token(config.embed)
        for block in config.blocks
    )


def _count(
    config: TransformerConfig, blocks: Sequence[BlockSpec] | None, of: Callable[[FeedForward], int]
) -> int:
    embed, blocks = config.embed, config.blocks if blocks is None else blocks
    mixings = [mixing for block in blocks for mixing in (block.attention, block.cross) if mixing is not None]
    # Layers with equal encodings and numbers of heads share one table.
    encodings = dict.fromkeys((mixing.positions, mixing.heads) for mixing in mixings)
    norm = config.norm.weight_count(embed)
    total = (config.vocab + config.embedding.types) * embed
    total += 0 if config.tie_embeddings else embed * config.vocab
    total += config.logits.bias * config.vocab
    total += 0 if config.embedding.norm is None else config.embedding.norm.weight_count(embed)
    total += norm * config.residual.final_norm
    total += sum(positions.weight_count(embed, heads) for positions, heads in encodings)
    total += sum(mixing.weight_count(embed) for mixing in mixings)
    return total + sum(of(block.feedforward) + norm * len(config.residual.norms(block.layers)) for block in blocks)


@functools.lru_cache(maxsize=256)
def _seen(mixing: Mixing, sequence: int) -> float:
    return mixing.mask.density(sequence)
