"""Costs of encoders and encoder-decoders against the real tree, the real cache, and XLA's count of FLOPs."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from model.attention import Attention
from model.config import TransformerConfig
from model.cost_table import cost
from model.cross_attention import CrossAttention
from model.encoder import MaskedLM, MaskedLMConfig
from model.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from model.families.registry import FAMILIES
from model.families.transfer import abstract
from model.feedforward import MLP
from model.kernels import Dense
from model.masks import Causal, Segments
from model.norms import LayerNorm
from model.precision import Precision

PRESETS = [(family, name) for family in FAMILIES for name in family.presets]
STACK = TransformerConfig(
    2, 256, 2000, Attention(8, mask=Segments(), kernel=Dense()), MLP(1024, "relu", bias=True),
    precision=Precision(compute="float32"),
)  # fmt: skip
MASKED = MaskedLMConfig(STACK, "relu", LayerNorm(bias=True))
# Masks are of segments alone, so that every key counts, as in a dense kernel.
PAIR = EncoderDecoderConfig(STACK, dataclasses.replace(STACK, layers=3), CrossAttention(8, kernel=Dense()))


@pytest.mark.parametrize(("family", "name"), PRESETS, ids=[name for _, name in PRESETS])
def test_weights_of_every_preset(family, name: str) -> None:
    config = family.preset(name)
    tree = nnx.state(abstract(family, config), nnx.Param)
    assert cost(config, 512, 2).weights == sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def counted(model: nnx.Module, *shapes: tuple[int, int]) -> float:
    tokens = [jax.ShapeDtypeStruct(shape, jnp.int32) for shape in shapes]
    program = jax.jit(lambda model, *tokens: model(*tokens)).lower(model, *tokens).compile()
    return program.cost_analysis()["flops"]


def test_flops_are_those_that_xla_counts() -> None:
    masked = nnx.eval_shape(lambda: MaskedLM(MASKED, nnx.Rngs(0)))
    assert cost(MASKED, 128, 2).flops == pytest.approx(counted(masked, (2, 128)) / 256, rel=0.02)
    pair = nnx.eval_shape(lambda: EncoderDecoder(PAIR, nnx.Rngs(0)))
    assert cost(PAIR, 128, 2).flops == pytest.approx(counted(pair, (2, 128), (2, 128)) / 256, rel=0.02)


def test_the_cache_is_the_real_one() -> None:
    causal = dataclasses.replace(PAIR.decoder, attention=Attention(8, mask=Causal()))
    config = dataclasses.replace(PAIR, decoder=causal)
    model = nnx.eval_shape(lambda: EncoderDecoder(config, nnx.Rngs(0)))
    tokens, lengths = jax.ShapeDtypeStruct((1, 40), jnp.int32), jax.ShapeDtypeStruct((1,), jnp.int32)
    _, cache = jax.eval_shape(lambda m, t, n: m.prefill(t, n, 40, t, n), model, tokens, lengths)
    floats = [leaf for leaf in jax.tree.leaves([place.kept for place in cache.values()]) if leaf.dtype == jnp.float32]
    assert cost(config, 40, 4).cache == sum(leaf.size * 4 for leaf in floats)
    assert cost(config, 40, 4).growth == 3 * 2 * 256 * 4
    assert cost(MASKED, 40, 4).cache is None


def test_what_is_no_model() -> None:
    with pytest.raises(TypeError, match="Causal is no model"):
        cost(Causal(), 1, 2)
