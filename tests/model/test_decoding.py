"""Decoding from a cache against a full forward pass for every token, and samplers against NumPy."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from model.attention import Attention
from model.decoding import Greedy, Sample, generate
from model.feedforward import GatedMLP
from model.masks import Causal, SlidingWindow
from model.positions import Learned, Rope
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig

WINDOW = 5
ATTENTION = {
    "rope": Attention(4, kv_heads=2, positions=Rope(50.0)),
    "rope, window": Attention(
        4, kv_heads=2, positions=Rope(50.0), mask=Causal() & SlidingWindow(WINDOW)
    ),
    "learned": Attention(2, positions=Learned(40)),
    "learned, window": Attention(
        4, kv_heads=1, positions=Learned(40), mask=Causal() & SlidingWindow(WINDOW)
    ),
}
# Shorter and longer than the window, so that its slots are reused before and after the prompt ends.
PROMPTS = [[7], [3, 1, 4], [2, 7, 1, 8, 2, 8, 1, 8, 2], [5] * 5]
NEW = 9
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module", params=ATTENTION)
def model(request: pytest.FixtureRequest, make_model) -> DecoderLM:
    return make_model(decoder(request.param))[0]


@pytest.fixture(scope="module")
def windowed(make_model) -> DecoderLM:
    return make_model(decoder("learned, window"))[0]


def decoder(name: str) -> TransformerConfig:
    return TransformerConfig(
        layers=2, embed=16, vocab=23, attention=ATTENTION[name], feedforward=GatedMLP(24),
        precision=Precision(compute="float32"),
    )  # fmt: skip


@partial(jax.jit, compiler_options=QUICK)
def forward(model: DecoderLM, tokens: Any) -> jax.Array:
    return model(tokens)


@partial(jax.jit, static_argnums=3, compiler_options=QUICK)
def prefill(model: DecoderLM, tokens: Any, lengths: Any, capacity: int) -> Any:
    return model.prefill(tokens, lengths, capacity)


@partial(jax.jit, compiler_options=QUICK)
def decode(model: DecoderLM, token: Any, position: Any, cache: Any) -> Any:
    return model.decode(token, position, cache)


def test_cached_is_the_full_forward_pass(model: DecoderLM) -> None:
    """Greedy tokens are the same, and logits at every step the same to rounding."""
    lengths = np.array([len(p) for p in PROMPTS], np.int32)
    rows = np.zeros((len(PROMPTS), 18), np.int32)
    for row, prompt in zip(rows, PROMPTS):
        row[: len(prompt)] = prompt
    everyone = np.arange(len(PROMPTS))

    logits, cache = prefill(model, rows[:, :9], lengths, 18)
    windowed = model.config.attention.mask.retention().latest is not None
    slots = WINDOW if windowed else 18
    config = model.config.attention
    shape = (2, len(PROMPTS), slots, config.key_heads, config.features(16))
    place = cache["0"]
    assert [part.shape for part in place.kept] == [shape, shape] and place.position.shape == shape[1:3]
    for i in range(NEW):
        expected = np.asarray(forward(model, rows))[everyone, lengths + i - 1]
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(logits, expected, rtol=0, atol=atol, err_msg=f"step {i}")
        for row, held in enumerate(np.asarray(cache["0"].position)):
            present = range(lengths[row] + i)
            assert sorted(held[held >= 0]) == list(present)[-slots:]
        token = expected.argmax(-1).astype(np.int32)
        rows[everyone, lengths + i] = token
        logits, cache = decode(model, jnp.asarray(token), jnp.asarray(lengths + i), cache)

    # `generate` is the same loop once more; two of the four models are enough for it.
    if model.config.attention in (ATTENTION["rope, window"], ATTENTION["learned"]):
        found = generate(model, PROMPTS, new_tokens=NEW)
        assert found == [row[n : n + NEW].tolist() for row, n in zip(rows, lengths)]
        assert len({tuple(row) for row in found}) > 1


def test_generation_ends_before_a_stop_token(windowed: DecoderLM) -> None:
    free = generate(windowed, PROMPTS, new_tokens=NEW)
    stop = free[2][4]
    found = generate(windowed, PROMPTS, new_tokens=NEW, stop=stop)
    assert found == [row[: row.index(stop)] if stop in row else row for row in free]
    assert stop not in found[2] and len(found[2]) <= 4


def test_draws_are_a_function_of_the_seed(windowed: DecoderLM) -> None:
    def draw(seed: int) -> list[list[int]]:
        sampler = Sample(temperature=1e4)
        return generate(windowed, PROMPTS, new_tokens=NEW, sampler=sampler, seed=seed)

    found = draw(1)
    assert found == draw(1) != draw(2)
    # So hot that all 23 tokens are alike: noise used twice would repeat a token or a row.
    assert all(len(row) == NEW and len(set(row)) >= 5 for row in found)
    assert len(set(map(tuple, found))) == len(PROMPTS)


def test_generation_is_refused(windowed: DecoderLM) -> None:
    for prompts in ([], [[1, 2], []]):
        with pytest.raises(ValueError, match="a prompt is empty; give each at least one token"):
            generate(windowed, prompts, new_tokens=1)
    with pytest.raises(ValueError, match="new_tokens is 0; it is at least 1"):
        generate(windowed, [[1]], new_tokens=0)
    with pytest.raises(ValueError, match="32 tokens and 9 new ones need 41.*Learned has 40"):
        generate(windowed, [[1] * 32, [1]], new_tokens=9)


def kept_by_hand(logits: np.ndarray, spec: Sample) -> tuple[set[int], float]:
    """Who may be drawn, and how near the last cut was to falling elsewhere."""
    scaled = logits.astype(np.float64) / spec.temperature
    order = np.argsort(-scaled, kind="stable")
    if spec.top_k:
        order = order[: spec.top_k]
    p = np.exp(scaled[order] - scaled[order[0]])
    p /= p.sum()
    kept, held, margin = set(), 0.0, np.inf
    for token, share in zip(order, p):
        if spec.top_p < 1:
            margin = min(margin, abs(held - spec.top_p))
            if held >= spec.top_p:
                break
        kept.add(int(token))
        held += share
    return kept, margin


@given(
    seed=st.integers(0, 10**6),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 3, 40]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 1.0]),
)
def test_cuts_are_those_of_numpy(seed: int, temperature: float, top_k: int, top_p: float) -> None:
    spec = Sample(temperature, top_k, top_p)
    logits = np.random.default_rng(seed).normal(size=(3, 12)).astype(np.float32) * 2
    found = np.asarray(spec.kept(jnp.asarray(logits)))
    for row, logit in zip(found, logits, strict=True):
        kept, margin = kept_by_hand(logit, spec)
        assume(margin > 1e-5)
        assert set(np.flatnonzero(np.isfinite(row))) == kept
        assert (row[~np.isfinite(row)] == -np.inf).all()
        some = sorted(kept)
        np.testing.assert_allclose(row[some], logit[some] / temperature, rtol=1e-6)


@pytest.mark.parametrize(
    "spec", [Sample(), Sample(temperature=0.5), Sample(1.5, top_k=5), Sample(0.8, 8, 0.7)]
)
def test_draws_have_the_right_frequencies(spec: Sample) -> None:
    logits = np.random.default_rng(11).normal(size=10).astype(np.float32)
    draws = 20_000
    rows = jnp.broadcast_to(jnp.asarray(logits), (draws, 10))
    found = np.bincount(spec.choose(rows, jax.random.key(5)), minlength=10)
    kept = sorted(kept_by_hand(logits, spec)[0])
    assert found[kept].sum() == draws and len(kept) > 1
    p = np.exp(logits[kept].astype(np.float64) / spec.temperature)
    assert stats.chisquare(found[kept], draws * p / p.sum()).pvalue > 1e-3


def test_greedy_takes_the_first_of_the_best() -> None:
    logits = jnp.asarray([[0.0, 2.0, 1.0], [3.0, 3.0, -1.0]])
    assert Greedy().choose(logits, jax.random.key(0)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; it is above 0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0; it is above 0 and at most 1"),
        ({"top_p": 1.1}, "top_p is 1.1"),
    ],
)
def test_bad_samplers(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sample(**arguments)
