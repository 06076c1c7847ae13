"""Fused matrices, taken apart the way GPT-NeoX's own program does it, and put together again."""

import numpy as np

from model.families.forms import HeadsIn, HeadVectors, JoinedByHead
from model.families.published import Published
from model.families.registry import family_named
from model.residual import Parallel, PreNorm
from tests.model.families.cases import CASES


def test_queries_keys_and_values_are_joined_head_by_head() -> None:
    heads, features, embed = 3, 4, 5
    rng = np.random.default_rng(0)
    matrix, bias = rng.normal(size=(3 * heads * features, embed)), rng.normal(size=3 * heads * features)
    x = rng.normal(size=embed)
    # [n, 3 d], of which each head's first d are its query: as in the model's forward pass.
    rows = (matrix @ x + bias).reshape(heads, 3 * features)
    matrices = JoinedByHead(heads, (HeadsIn(heads),) * 3)
    vectors = JoinedByHead(heads, (HeadVectors(heads),) * 3)
    for i, (weight, shift) in enumerate(zip(matrices.to_ours([matrix]), vectors.to_ours([bias]), strict=True)):
        assert weight.shape == (embed, heads, features) and shift.shape == (heads, features)
        made = np.einsum("e,end->nd", x, weight) + shift
        np.testing.assert_allclose(made, rows[:, i * features : (i + 1) * features], rtol=1e-12)
    assert np.array_equal(matrices.to_theirs(matrices.to_ours([matrix]))[0], matrix)
    assert np.array_equal(vectors.to_theirs(vectors.to_ours([bias]))[0], bias)


def test_what_the_config_says() -> None:
    family = family_named("gpt_neox")
    config = family.config(Published(CASES["pythia"]))
    assert config.residual == Parallel(shared=False)
    assert (config.attention.positions.fraction, config.attention.positions.theta) == (0.25, 10_000.0)
    assert config.attention.bias and config.attention.output_bias and config.feedforward.activation == "gelu"
    config = family.config(Published(CASES["gpt-neox-sequential"]))
    assert config.residual == PreNorm() and not config.attention.bias and config.feedforward.bias
    assert config.attention.positions.theta == 50_000.0 and config.feedforward.activation == "gelu_tanh"


def test_what_old_files_hold_besides() -> None:
    family = family_named("gpt_neox")
    config = family.config(Published(CASES["pythia"]))
    assert family.surplus(config, "gpt_neox.layers.0.attention.masked_bias")
    assert family.surplus(config, "gpt_neox.layers.0.attention.rotary_emb.inv_freq")
    assert not family.surplus(config, "embed_out.weight")
    assert not family.surplus(config, "gpt_neox.layers.0.attention.dense.bias")
