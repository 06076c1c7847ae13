"""Encoder-decoders: against the formulas of the paper, decoded from a cache, packed and padded."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.config import Embedding, TransformerConfig
from model.cross_attention import CrossAttention
from model.decoding import generate
from model.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from model.feedforward import MLP
from model.masks import Causal, Segments
from model.norms import LayerNorm
from model.positions import Sinusoidal, T5Bias
from model.precision import Precision
from model.residual import PostNorm

QUICK = {"xla_backend_optimization_level": 0}
STACK = TransformerConfig(
    layers=2, embed=16, vocab=19, attention=Attention(2, mask=Segments(), positions=Sinusoidal()),
    feedforward=MLP(24, "relu", bias=True), norm=LayerNorm(bias=True), residual=PostNorm(),
    embedding=Embedding(scale=4.0), precision=Precision(compute="float32"),
)  # fmt: skip
ORIGINAL = EncoderDecoderConfig(
    encoder=STACK,
    decoder=dataclasses.replace(
        STACK, attention=Attention(2, mask=Causal() & Segments(), positions=Sinusoidal())
    ),
    cross=CrossAttention(2),
)
RELATIVE = dataclasses.replace(
    ORIGINAL,
    encoder=dataclasses.replace(
        STACK, attention=Attention(2, mask=Segments(), positions=T5Bias(8, 16, bidirectional=True))
    ),
    decoder=dataclasses.replace(STACK, attention=Attention(2, positions=T5Bias(8, 16))),
    share_embedding=False,
)


def made(config: EncoderDecoderConfig) -> EncoderDecoder:
    graph, state = nnx.split(nnx.eval_shape(lambda: EncoderDecoder(config, nnx.Rngs(0))))
    rng = np.random.default_rng(5)

    def draw(path, leaf):
        mean = 1 if "scale" in path[-1].key else 0
        return jnp.asarray(mean + 0.3 * rng.normal(size=leaf.shape), jnp.float32)

    return nnx.merge(graph, jax.tree.map_with_path(draw, nnx.to_pure_dict(state)))


def drawn(rows: int, length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 19, (rows, length)).astype(np.int32)


forward = jax.jit(lambda *arguments: arguments[0](*arguments[1:]), compiler_options=QUICK)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(model: EncoderDecoder, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """One pair of rows through Vaswani 2017, section 3, in float64."""
    w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    table = np.asarray(model.encoder.embedding[...], np.float64)

    def embed(tokens: np.ndarray) -> np.ndarray:
        place, i = np.arange(len(tokens))[:, None], np.arange(8)
        angle = place / 10000 ** (2 * i / 16)
        return table[tokens] * 4 + np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(tokens), 16)

    def norm(x: np.ndarray, p: dict) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]

    def attend(p: dict, x: np.ndarray, y: np.ndarray, causal: bool) -> np.ndarray:
        total = 0
        for h in range(2):
            scores = (x @ p["query"][:, h]) @ (y @ p["key"][:, h]).T / np.sqrt(8)
            if causal:
                scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
            total = total + softmax(scores) @ (y @ p["value"][:, h]) @ p["output"][h]
        return total

    def feed(p: dict, x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ p["up"] + p["up_bias"], 0) @ p["down"] + p["down_bias"]

    memory, x = embed(source), embed(target)
    for i in range(2):
        b = jax.tree.map(lambda leaf, i=i: leaf[i], w["encoder"]["blocks"]["0"])
        memory = norm(memory + attend(b["attention"], memory, memory, False), b["norms"]["after0"])
        memory = norm(memory + feed(b["feedforward"], memory), b["norms"]["after1"])
    for i in range(2):
        b = jax.tree.map(lambda leaf, i=i: leaf[i], w["decoder"]["blocks"]["0"])
        x = norm(x + attend(b["attention"], x, x, True), b["norms"]["after0"])
        x = norm(x + attend(b["cross"], x, memory, False), b["norms"]["after1"])
        x = norm(x + feed(b["feedforward"], x), b["norms"]["after2"])
    return x @ table.T


def test_logits_are_those_of_the_paper() -> None:
    model = made(ORIGINAL)
    assert model.decoder.embedding is model.encoder.embedding
    source, target = drawn(2, 7, 1), drawn(2, 5, 2)
    found = forward(model, source, target)
    expected = np.stack([reference(model, *pair) for pair in zip(source, target)])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("config", [ORIGINAL, RELATIVE])
def test_padded_and_packed_are_alone(config: EncoderDecoderConfig) -> None:
    model = made(config)
    source, target = drawn(2, 9, 3), drawn(2, 6, 4)
    first = forward(model, source[:1, :5], target[:1, :4])
    lengths = np.array([[5], [9]])
    segments = (np.arange(9) < lengths).astype(np.int32), (np.arange(6) < np.array([[4], [6]])).astype(np.int32)
    padded = forward(model, source, target, *segments)
    np.testing.assert_allclose(padded[0, :4], first[0], atol=1e-5 * np.abs(first).max())


@pytest.mark.parametrize("config", [ORIGINAL, RELATIVE])
def test_generation_is_the_full_forward_pass(config: EncoderDecoderConfig) -> None:
    model = made(config)
    sources, prompts = [[3, 4, 5, 6, 7], [8, 9]], [[1], [1, 2, 3]]
    found = generate(model, prompts, new_tokens=6, sources=sources)
    for source, prompt, new in zip(sources, prompts, found):
        row = [*prompt, *new]
        logits = forward(model, np.array([source], np.int32), np.array([row], np.int32))
        # What stands at a place was the most probable after all before it.
        assert np.asarray(logits)[0, len(prompt) - 1 : -1].argmax(-1).tolist() == new


def test_dropout_and_gradients_reach_every_weight() -> None:
    model = made(ORIGINAL)
    source, target = drawn(2, 7, 1), drawn(2, 5, 2)
    graph, state = nnx.split(model)

    def loss(weights):
        return jnp.square(nnx.merge(graph, weights)(jnp.asarray(source), jnp.asarray(target))).mean()

    gradients = jax.jit(jax.grad(loss), compiler_options=QUICK)(nnx.to_pure_dict(state))
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))


def test_stacks_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="encoder.embed is 16 and decoder.embed is 8"):
        dataclasses.replace(ORIGINAL, decoder=dataclasses.replace(ORIGINAL.decoder, embed=8))
