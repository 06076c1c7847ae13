"""Caches that hold more than a window: first keys for ever, keys before a prefix's end, places of their own."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.attention import Attention
from model.cache import fill, mark, slot_of, slots_for
from model.feedforward import GatedMLP
from model.masks import Causal, Mask, Prefix, Retention, Sinks, SlidingWindow
from model.mixing import Interleaved, MixingPlan
from model.positions import Alibi, NoPositions, T5Bias
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig

QUICK = {"xla_backend_optimization_level": 0}
STREAMING = Causal() & (Sinks(2) | SlidingWindow(3))


def attention(mask: Mask, positions: Any = NoPositions()) -> Attention:
    return Attention(2, mask=mask, positions=positions)


@partial(jax.jit, compiler_options=QUICK)
def forward(model: DecoderLM, tokens: Any) -> jax.Array:
    return model(tokens)


@pytest.mark.parametrize(
    ("plan", "slots"),
    [
        (attention(STREAMING), {"0": 5}),
        (attention(STREAMING, Alibi()), {"0": 5}),
        (attention(Causal() & SlidingWindow(4), T5Bias(8, 12)), {"0": 4}),
        (attention(Causal() | Prefix(3)), {"0": 14}),
        (Interleaved((attention(Causal() & SlidingWindow(4)), attention(Causal()))), {"0": 4, "1": 14, "2": 4}),
    ],
)
def test_cached_is_the_full_forward_pass(make_model, plan: MixingPlan, slots: dict[str, int]) -> None:
    model, _ = make_model(
        TransformerConfig(
            layers=3, embed=16, vocab=19, attention=plan, feedforward=GatedMLP(20),
            precision=Precision(compute="float32"),
        )
    )  # fmt: skip
    tokens = np.random.default_rng(1).integers(0, 19, (2, 14)).astype(np.int32)
    # Both prompts hold the whole prefix; the first has padding, which nobody may see.
    lengths, rows = np.array([4, 8], np.int32), np.arange(2)
    full = np.asarray(forward(model, tokens))
    run = jax.jit(DecoderLM.prefill, static_argnums=3, compiler_options=QUICK)
    logits, cache = run(model, tokens[:, :8], lengths, 14)
    period = len(plan.specs) if isinstance(plan, Interleaved) else 1
    assert {name: place.position.shape[1] for name, place in cache.items()} == dict(list(slots.items())[:3])
    assert period in (1, 2)
    decode = jax.jit(DecoderLM.decode, compiler_options=QUICK)
    for i in range(6):
        np.testing.assert_allclose(logits, full[rows, lengths + i - 1], atol=2e-5 * np.abs(full).max())
        logits, cache = decode(model, jnp.asarray(tokens[rows, lengths + i]), jnp.asarray(lengths + i), cache)


@given(
    first=st.integers(0, 4), latest=st.one_of(st.none(), st.integers(1, 6)), prompt=st.integers(1, 9),
    new=st.integers(0, 9),
)
def test_slots_hold_what_is_retained(first: int, latest: int | None, prompt: int, new: int) -> None:
    """A prefill and steps, against a list of the positions that the rule keeps."""
    held = Retention(first, latest)
    slots = slots_for(held, prompt + new)
    kept = np.arange(prompt)[None, None, :, None]
    cache = fill(jnp.asarray(kept), jnp.array([prompt]), held, slots)
    position, values = np.asarray(cache.position)[0], np.asarray(cache.kept)[0, 0, :, 0].copy()
    for step in range(prompt, prompt + new):
        at = jnp.array([step])
        values[int(slot_of(at, held, slots)[0])] = step
        position = np.asarray(mark(jnp.asarray(position)[None], at, held))[0]
    end = prompt + new
    wanted = [p for p in range(end) if latest is None or p < first or end - 1 - p < latest]
    filled = position >= 0
    assert set(wanted) <= set(position[filled].tolist())
    assert np.array_equal(values[filled], position[filled])
