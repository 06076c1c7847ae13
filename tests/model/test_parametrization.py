"""Parametrizations: the tables of the papers, weight by weight, and nothing changed at the base size.

That they do what they are for is in `tests/experiments/test_coordinates.py`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.spec import build, describe, override
from model.attention import Attention
from model.config import Logits
from model.feedforward import MLP, GatedMLP
from model.latent_attention import LatentAttention
from model.moe import MoE
from model.norms import LayerNorm
from model.parametrization import Glorot, MuP, Parametrization, Standard, sides
from model.positions import Learned, T5Bias
from model.precision import Precision
from model.residual import DeepNorm, PostNorm, PreNorm, Residual
from model.transformer import DecoderLM, TransformerConfig
from train.optimizers import Muon
from train.state import Blueprint
from train.weights import Weight

BASE = TransformerConfig(
    layers=2, embed=16, vocab=11, attention=Attention(2, bias=True, positions=Learned(8)), feedforward=MLP(32),
    norm=LayerNorm(bias=True), tie_embeddings=False, precision=Precision(compute="float32"),
)  # fmt: skip


TOKENS = jnp.arange(8)[None]


def quick(function: Callable[..., Any], *arguments: Any) -> Any:
    """Its value; little is computed here and much is compiled."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arguments)


def table(config: TransformerConfig) -> dict[str, tuple[float, float, float]]:
    """Rate, share of decay and width of every weight by name."""
    leaves = jax.tree.leaves(Blueprint(config).table)
    return {weight.name: (weight.rate, weight.decay_share, weight.width) for weight in leaves}


def wide(parametrization: Parametrization) -> TransformerConfig:
    """Four times as wide and three times as deep."""
    return dataclasses.replace(
        BASE, layers=6, embed=64, attention=Attention(8, bias=True, positions=Learned(8)), feedforward=MLP(128),
        parametrization=parametrization,
    )


@pytest.mark.parametrize(("power", "inside"), [(1.0, 1.0), (0.5, 3**-0.5)])
def test_rates_and_decay_are_those_of_the_tables(power: float, inside: float) -> None:
    """Yang 2022, table 8; Dey 2025, table 1."""
    found = table(wide(MuP(16, base_depth=2, power=power)))
    attention = "blocks/0/attention"
    hidden = {f"{attention}/{name}" for name in ("query", "key", "value", "output")}
    hidden |= {"blocks/0/feedforward/up", "blocks/0/feedforward/down"}
    for name, weight in found.items():
        depth = inside if name.startswith("blocks") else 1.0
        if name in hidden:
            assert weight == (pytest.approx(depth / 4), 4.0, 4.0), name
        else:
            matrix = name in ("embedding", "unembedding", "positions/0/table")
            assert weight == (pytest.approx(depth), float(matrix), 1.0), name
    assert hidden < set(found) and f"{attention}/query_bias" in found and "blocks/0/norms/before0/scale" in found


def test_matrices_to_a_fixed_number_of_outputs_have_table_3() -> None:
    config = dataclasses.replace(
        BASE, embed=64, parametrization=MuP(16), feedforward=MoE(4, 2, GatedMLP(128)),
        attention=LatentAttention(8, kv_rank=32, plain_dim=8, rotary_dim=8, value_dim=8),
    )
    found = table(config)
    assert found["blocks/0/feedforward/router/weight"] == (0.25, 4.0, 1.0)
    for name in ("up", "gate", "down"):
        assert found[f"blocks/0/feedforward/experts/{name}"] == (0.25, 4.0, 4.0)
    for name in ("latent_down", "key_up", "value_up", "rotary_key", "query_up", "output"):
        assert found[f"blocks/0/attention/{name}"] == (0.25, 4.0, 4.0)
    biased = dataclasses.replace(BASE, embed=64, parametrization=MuP(16), attention=Attention(8, positions=T5Bias()))
    assert table(biased)["positions/0/table"] == (1.0, 1.0, 1.0)


def test_deviations_are_those_of_the_tables() -> None:
    config = dataclasses.replace(
        wide(MuP(64, std=0.1, base_depth=2)), embed=256, feedforward=MoE(8, 2, MLP(512)), vocab=300
    )
    state = quick(Blueprint(config).weights, jax.random.key(0))
    block, half = state["blocks"]["0"], 0.5  # (256 / 64)^-1/2
    expected = {
        0.1: [state["embedding"], state["unembedding"]],
        0.1 * half: [block["attention"][name] for name in ("query", "key", "value")],
        # GPT-2's rule for the base depth; how deep this model is does not count.
        0.1 * half / 2: [block["attention"]["output"], block["feedforward"]["experts"]["down"]],
        0.1 / 4: [block["feedforward"]["router"]["weight"]],
    }
    for std, weights in expected.items():
        for weight in weights:
            # 12,288 draws and more: five deviations of what their spread may be.
            assert np.std(weight) == pytest.approx(std, rel=5 / np.sqrt(2 * weight.size))


@pytest.mark.parametrize("residual", [PreNorm(), PostNorm()])
def test_glorot_goes_by_what_a_matrix_reads_and_gives(residual: Residual) -> None:
    """At any depth, and wherever norms lie; what adds to the stream is no exception."""
    config = dataclasses.replace(
        wide(Glorot()), layers=8, embed=96, attention=Attention(6, head_dim=24, positions=Learned(64)),
        feedforward=GatedMLP(288), vocab=300, residual=residual,
    )  # fmt: skip
    state = quick(Blueprint(config).weights, jax.random.key(0))
    block = state["blocks"]["0"]
    expected = [(96**-0.5, state["embedding"]), (96**-0.5, state["unembedding"])]
    expected.append((96**-0.5, state["positions"]["0"]["table"]))
    expected += [((2 / (96 + 144)) ** 0.5, block["attention"][name]) for name in ("query", "key", "value", "output")]
    expected += [((2 / (96 + 288)) ** 0.5, block["feedforward"][name]) for name in ("gate", "up", "down")]
    for std, weight in expected:
        assert np.std(weight) == pytest.approx(std, rel=5 / np.sqrt(2 * weight.size))


def test_at_the_base_size_it_is_the_standard_number_by_number() -> None:
    same = dataclasses.replace(BASE, parametrization=MuP(16, base_depth=2, base_head_dim=8))
    assert table(same) == table(BASE)
    (weights, logits), (others, others_logits) = (
        quick(lambda key, b=Blueprint(config): (w := b.weights(key), b.model(w)(TOKENS)), jax.random.key(3))
        for config in (BASE, same)
    )
    for a, b in zip(jax.tree.leaves(weights), jax.tree.leaves(others), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(logits, others_logits)


def test_factors_are_those_of_a_model_that_has_them_as_fields(make_model) -> None:
    """1/d attention (Yang 2022, definition 4.1), logits by 1/m, branches by 1/m."""
    config = dataclasses.replace(
        BASE, layers=4, embed=32, logits=Logits(scale=3.0), parametrization=MuP(16, base_depth=2, base_head_dim=8)
    )
    plain = dataclasses.replace(
        config, parametrization=Standard(), logits=Logits(scale=1.5), residual=PreNorm(0.5),
        attention=dataclasses.replace(config.attention, scale=8**0.5 / 16),
    )
    model, _ = make_model(config)
    other, _ = make_model(plain, nnx.to_pure_dict(nnx.state(model)))
    found, expected = (quick(DecoderLM.__call__, each, TOKENS) for each in (model, other))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_muon_takes_the_root() -> None:
    """Its updates' largest singular value grows with the root of the width, and Adam's with the width."""
    weights = Blueprint(wide(MuP(16))).table
    weights = {"up": weights["blocks"]["0"]["feedforward"]["up"], "embedding": weights["embedding"]}
    rng = np.random.default_rng(0)
    gradients = jax.tree.map(lambda w: rng.normal(size=w.shape).astype(np.float32), weights)

    def updates(weights: Any) -> Any:
        transform = Muon(iterations=1, decay=0.0, clip=0.0).transform(lambda step: 1.0, weights)
        return quick(lambda g: transform.update(g, transform.init(g), g)[0], gradients)

    found = updates(weights)
    plain = updates(jax.tree.map(lambda w: Weight(w.path, w.axes, w.shape), weights))
    np.testing.assert_allclose(found["up"], 0.5 * plain["up"], rtol=1e-5)
    np.testing.assert_array_equal(found["embedding"], plain["embedding"])


def test_sides_of_weights() -> None:
    assert sides(("layers", "embed", "heads", "head_dim")) == (("embed",), ("heads", "head_dim"))
    assert sides(("layers", "heads", "head_dim", "embed")) == (("heads", "head_dim"), ("embed",))
    assert sides(("layers", "experts", "embed", "mlp")) == (("embed",), ("mlp",))
    assert sides(("layers", "embed", "experts")) == (("embed",), ("experts",))
    assert sides(("layers", "heads", "head_dim")) == ((), ("heads", "head_dim"))
    assert sides(("embed",)) == ((), ("embed",))


def test_configs_by_key_and_of_old() -> None:
    changed = override(BASE, ["parametrization=MuP(16, base_depth=2)"])
    assert changed.parametrization == MuP(16, base_depth=2)
    assert build(describe(changed), TransformerConfig) == changed
    stored = describe(BASE)
    del stored["parametrization"]
    stored["init_std"] = 0.3
    assert build(stored, TransformerConfig) == dataclasses.replace(BASE, parametrization=Standard(0.3))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MuP(0), "MuP.base_width is 0; it is at least 1"),
        (lambda: MuP(8, base_depth=-1), "MuP.base_depth is -1; it is at least 0"),
        (lambda: MuP(8, power=0.0), r"MuP.power is 0.0; it is from 0.5 \(Depth-muP\) to 1 \(CompleteP\)"),
        (lambda: Standard(-1.0), "Standard.std is -1.0; it is at least 0"),
    ],
)
def test_bad_numbers(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("residual", [PostNorm(), DeepNorm(2)])
def test_a_normalised_stream_has_no_base_depth(residual: Residual) -> None:
    dataclasses.replace(BASE, residual=residual, parametrization=MuP(16))
    with pytest.raises(ValueError, match="MuP.base_depth goes with a residual that leaves the stream alone"):
        dataclasses.replace(BASE, residual=residual, parametrization=MuP(16, base_depth=2))
