"""The whole transformer against one written from its formulas in NumPy float64."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf

from model.attention import Attention
from model.feedforward import MLP, GatedMLP
from model.kernels import Blocked
from model.masks import Causal, Segments
from model.norms import LayerNorm
from model.parameters import logical_axes
from model.positions import Learned, Rope
from model.precision import Precision
from model.qk_norm import PerHead
from model.stack import drop
from model.transformer import DecoderLM, TransformerConfig

FLOAT32 = Precision(compute="float32")
MASK = Causal() & Segments()
LLAMA = TransformerConfig(
    layers=2, embed=24, vocab=29, tie_embeddings=False, precision=FLOAT32,
    attention=Attention(4, kv_heads=2, mask=MASK, positions=Rope(100.0), kernel=Blocked(4)),
    feedforward=GatedMLP(40),
)  # fmt: skip
GPT = TransformerConfig(
    layers=3, embed=20, vocab=31, norm=LayerNorm(bias=True), precision=FLOAT32,
    attention=Attention(3, head_dim=8, mask=MASK, positions=Learned(16), qk_norm=PerHead()),
    feedforward=MLP(36),
)  # fmt: skip
CONFIGS = {"llama": LLAMA, "gpt": GPT}


@pytest.fixture(scope="module")
def models(make_model) -> dict[str, tuple[DecoderLM, dict[str, Any]]]:
    return {name: make_model(config) for name, config in CONFIGS.items()}


# Little is computed here and much is compiled.
QUICK = {"xla_backend_optimization_level": 0}


@partial(jax.jit, compiler_options=QUICK)
def logits_of(
    model: DecoderLM, tokens: Any, positions: Any = None, segments: Any = None, key: Any = None
) -> jax.Array:
    return model(tokens, positions, segments, key)


def nnx_dict(model: DecoderLM) -> dict[str, Any]:
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def rms(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_of(i: int, leaf: np.ndarray) -> np.ndarray:
    return leaf[i]


def forward(
    name: str, w: dict[str, Any], tokens: np.ndarray, positions: np.ndarray, segments: np.ndarray
) -> np.ndarray:
    """One row of tokens [seq] to logits [seq, vocab], head by head and query by query."""
    config = CONFIGS[name]
    heads, kv_heads = (4, 2) if name == "llama" else (3, 3)

    def norm(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
        if name == "llama":
            return rms(x, p["scale"])
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]

    def placed(x: np.ndarray) -> np.ndarray:
        if name == "gpt":
            return x
        half = x.shape[-1] // 2
        angle = np.outer(positions, 100.0 ** (-np.arange(half) / half))
        turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angle)
        return np.concatenate([turned.real, turned.imag], -1)

    x = w["embedding"][tokens]
    if name == "gpt":
        x = x + w["positions"]["0"]["table"][positions]
    for i in range(config.layers):
        block = jax.tree.map(partial(layer_of, i), w["blocks"]["0"])
        a, y, mixed = block["attention"], norm(x, block["norms"]["before0"]), 0
        for h in range(heads):
            shared = h // (heads // kv_heads)
            q, k = y @ a["query"][:, h], y @ a["key"][:, shared]
            if name == "gpt":
                q, k = rms(q, a["query_norm"]["scale"]), rms(k, a["key_norm"]["scale"])
            q, k, v = placed(q), placed(k), y @ a["value"][:, shared]
            out = np.zeros_like(q)
            for t in range(len(tokens)):
                seen = [s for s in range(t + 1) if segments[s] == segments[t]]
                out[t] = softmax(k[seen] @ q[t] / np.sqrt(q.shape[-1])) @ v[seen]
            mixed = mixed + out @ a["output"][h]
        x = x + mixed
        f, y = block["feedforward"], norm(x, block["norms"]["before1"])
        if name == "llama":
            gate = y @ f["gate"]
            x = x + (gate / (1 + np.exp(-gate)) * (y @ f["up"])) @ f["down"]
        else:
            hidden = y @ f["up"]
            x = x + (hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))) @ f["down"]
    x = norm(x, w["final_norm"])
    return x @ (w["unembedding"] if name == "llama" else w["embedding"].T)


def drawn(name: str, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, CONFIGS[name].vocab, shape).astype(np.int32)


SEGMENTS = np.array([[1] * 11, [1] * 4 + [2] * 7], np.int32)
POSITIONS = np.array([[*range(11)], [*range(4), *range(7)]], np.int32)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_the_formulas(models, name: str) -> None:
    model, weights = models[name]
    tokens = drawn(name, (2, 11))
    found = logits_of(model, tokens, POSITIONS, SEGMENTS)
    assert found.dtype == jnp.float32
    expected = np.stack([forward(name, weights, *row) for row in zip(tokens, POSITIONS, SEGMENTS)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_is_unpacked(models, name: str) -> None:
    """Two documents in a row, and each alone in a row padded on the right."""
    model, _ = models[name]
    tokens = drawn(name, (2, 11))
    packed = np.asarray(logits_of(model, tokens, POSITIONS, SEGMENTS))[1]
    alone = np.zeros((2, 7), np.int32)
    alone[0, :4], alone[1] = tokens[1, :4], tokens[1, 4:]
    first, second = np.asarray(logits_of(model, alone))
    atol = 1e-5 * np.abs(packed).max()
    np.testing.assert_allclose(packed[:4], first[:4], rtol=0, atol=atol)
    np.testing.assert_allclose(packed[4:], second, rtol=0, atol=atol)


EXPECTED_AXES = {
    ("embedding",): ("vocab", "embed"),
    ("unembedding",): ("embed", "vocab"),
    ("positions", "0", "table"): ("position", "embed"),
    ("final_norm", "scale"): ("embed",),
    ("final_norm", "bias"): ("embed",),
    ("blocks", "0", "attention", "query"): ("layers", "embed", "heads", "head_dim"),
    ("blocks", "0", "attention", "key"): ("layers", "embed", "kv_heads", "head_dim"),
    ("blocks", "0", "attention", "value"): ("layers", "embed", "kv_heads", "head_dim"),
    ("blocks", "0", "attention", "output"): ("layers", "heads", "head_dim", "embed"),
    ("blocks", "0", "attention", "query_norm", "scale"): ("layers", "head_dim"),
    ("blocks", "0", "attention", "key_norm", "scale"): ("layers", "head_dim"),
    ("blocks", "0", "norms", "before0", "scale"): ("layers", "embed"),
    ("blocks", "0", "norms", "before0", "bias"): ("layers", "embed"),
    ("blocks", "0", "norms", "before1", "scale"): ("layers", "embed"),
    ("blocks", "0", "norms", "before1", "bias"): ("layers", "embed"),
    ("blocks", "0", "feedforward", "gate"): ("layers", "embed", "mlp"),
    ("blocks", "0", "feedforward", "up"): ("layers", "embed", "mlp"),
    ("blocks", "0", "feedforward", "down"): ("layers", "mlp", "embed"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_are_counted_and_named(models, name: str) -> None:
    config = CONFIGS[name]
    state = nnx.state(models[name][0], nnx.Param)
    axes = logical_axes(state)
    assert axes == {path: EXPECTED_AXES[path] for path in axes}
    count = sum(variable.size for _, variable in nnx.to_flat_state(state))
    d, v, n = config.embed, config.vocab, config.layers
    if name == "llama":
        block = d * d * 2 + d * d // 2 * 2 + 3 * d * 40 + 2 * d
        assert count == 2 * v * d + d + n * block
    else:
        block = 4 * d * 3 * 8 + 2 * 8 + 2 * d * 36 + 2 * 2 * d
        assert count == v * d + 16 * d + 2 * d + n * block
    sizes = {"layers": n, "embed": d, "vocab": v}
    for path, variable in nnx.to_flat_state(state):
        for axis, size in zip(axes[path], variable.shape, strict=True):
            assert sizes.setdefault(axis, size) == size


def test_dropping_keeps_the_mean() -> None:
    x = jnp.full((400, 500), 2.0)
    found = np.asarray(drop(x, 0.3, jax.random.key(0)))
    np.testing.assert_allclose(np.unique(found), [0, 2 / 0.7], rtol=1e-6)
    # A mean of 200,000 draws, each with deviation 2 sqrt(0.3 / 0.7).
    assert found.mean() == pytest.approx(2, abs=5 * 2 * np.sqrt(0.3 / 0.7 / x.size))
    assert drop(x, 0.3, None) is x and drop(x, 0.0, jax.random.key(0)) is x
    assert drop(x.astype(jnp.bfloat16), 0.3, jax.random.key(0)).dtype == jnp.bfloat16


def test_dropout_of_the_model(models, make_model) -> None:
    model, _ = models["gpt"]
    tokens = drawn("gpt", (1, 8))
    keys = [jax.random.key(i) for i in range(2)]
    plain = logits_of(model, tokens)
    np.testing.assert_array_equal(logits_of(model, tokens, key=keys[0]), plain)

    dropping, _ = make_model(dataclasses.replace(GPT, dropout=0.4), nnx_dict(model))
    one, again = (np.asarray(logits_of(dropping, tokens, key=keys[0])) for _ in range(2))
    other = np.asarray(logits_of(dropping, tokens, key=keys[1]))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1 and np.abs(one - plain).max() > 0.1
    np.testing.assert_allclose(logits_of(dropping, tokens), plain, rtol=1e-5, atol=1e-5)


def test_each_layer_drops_others(make_model) -> None:
    """Without attention, and with a constant from each feed-forward, the stream tells who kept it."""
    config = TransformerConfig(
        layers=2, embed=256, vocab=256, dropout=0.5, precision=FLOAT32, tie_embeddings=False,
        attention=Attention(1), feedforward=MLP(1, "relu"), norm=LayerNorm(bias=True),
    )  # fmt: skip
    state = jax.tree.map(jnp.zeros_like, nnx_dict(make_model(config)[0]))
    blocks = state["blocks"]["0"]
    blocks["norms"]["before1"]["bias"] = jnp.ones((2, 256))
    blocks["feedforward"]["up"] = jnp.full((2, 256, 1), 1 / 256)
    blocks["feedforward"]["down"] = jnp.array([1.0, 3.0])[:, None, None] * jnp.ones((2, 1, 256))
    state["unembedding"] = jnp.eye(256)
    model, _ = make_model(config, state)
    model.final_norm = None
    found = logits_of(model, np.zeros((1, 1), np.int32), key=jax.random.key(1))
    values, counts = np.unique(np.round(found, 4), return_counts=True)
    assert values.tolist() == [0, 2, 6, 8]  # kept by neither, the first, the second, both
    # Chi-square with 3 degrees of freedom; p = 0.001.
    assert ((counts - 64) ** 2 / 64).sum() < 16.3


def test_flops_of_gpt2() -> None:
    config = TransformerConfig(
        layers=12, embed=768, vocab=50257, attention=Attention(12, positions=Learned(1024)),
        feedforward=MLP(3072), norm=LayerNorm(),
    )  # fmt: skip
    weights = 12 * 12 * 768**2 + 768 * 50257
    assert config.flops_per_token(1024) == 6 * weights + 12 * 12 * 768 * 1025 / 2
    grouped = dataclasses.replace(
        LLAMA, attention=dataclasses.replace(LLAMA.attention, mask=Causal(), head_dim=10)
    )
    block = 24 * 10 * (4 + 4 + 2 + 2) + 3 * 24 * 40
    expected = 6 * (2 * block + 24 * 29) + 12 * 2 * 4 * 10 * 9 / 2
    assert grouped.flops_per_token(8) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "model.layers is 0; it is at least 1"),
        ({"vocab": -1}, "model.vocab is -1"),
        ({"embed": 26}, "embed is 26, which Attention.heads .4. does not divide; set head_dim"),
        ({"embed": 12}, "head_dim is 3; Rope"),
        ({"dropout": 1.0}, "model.dropout is 1.0; .* below 1"),
        ({"remat": "some"}, "model.remat is 'some'; it is one of none, full"),
    ],
)
def test_bad_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LLAMA, **changes)
