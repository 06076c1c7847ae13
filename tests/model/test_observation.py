"""Values inside of a forward pass: the right ones, out of every kind of loop, and at no cost to who does not ask."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model import attention, observation, stack
from model.attention import Attention
from model.feedforward import MLP
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig

MIXED = Interleaved((Attention(2, mask=Causal() & SlidingWindow(2)), Attention(2, kv_heads=1)))
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 11, (2, 6)))


def model(layers: int, remat: str = "none") -> DecoderLM:
    config = TransformerConfig(layers, 8, 11, MIXED, MLP(8), precision=Precision(compute="float32"), remat=remat)
    return DecoderLM(config, nnx.Rngs(0))


def seen(made: DecoderLM, keep: observation.Keep = observation.everything) -> dict[str, jax.Array]:
    graph, weights = nnx.split(made)

    def watched(weights, tokens):
        with observation.observing(keep) as found:
            nnx.merge(graph, weights)(tokens)
        return found

    return jax.jit(watched)(weights, TOKENS)


# Fourteen layers are rolled on a CPU, four are written out.
@pytest.mark.parametrize(("layers", "remat"), [(4, "none"), (14, "full")])
def test_what_is_seen_adds_up_to_what_comes_out(layers: int, remat: str) -> None:
    made = model(layers, remat)
    found = seen(made)
    assert {key.partition("/")[0] for key in found} == {"0", "1"}
    assert found["0/stream"].shape == (layers // 2, 2, 6, 8) and found["1/key"].shape == (layers // 2, 2, 6, 1, 4)
    before = np.asarray(made.embedded(TOKENS, jnp.broadcast_to(jnp.arange(6), (2, 6))))
    for layer in range(layers):
        added, after = (
            np.asarray(found[f"{layer % 2}/attention"][layer // 2] + found[f"{layer % 2}/feedforward"][layer // 2]),
            np.asarray(found[f"{layer % 2}/stream"][layer // 2]),
        )
        np.testing.assert_allclose(before + added, after, rtol=1e-5, atol=1e-6)
        before = after
    np.testing.assert_allclose(made.logits(jnp.asarray(before)), made(TOKENS), rtol=1e-5, atol=1e-6)


def test_only_what_is_asked_for_comes_out() -> None:
    found = seen(model(2), lambda name, value: {"mean": value.mean()} if name == "stream" else {})
    assert {key: value.shape for key, value in found.items()} == {"0/mean": (1,), "1/mean": (1,)}


def test_nobody_listening_the_program_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, weights = nnx.split(model(14))

    def lowered() -> str:
        return jax.jit(lambda w, t: nnx.merge(graph, w)(t)).lower(weights, TOKENS).as_text()

    watched = lowered()
    for module in (attention, stack):
        monkeypatch.setattr(module, "observe", lambda name, value: None)
    monkeypatch.setattr(stack, "pass_on", lambda prefix, found: None)
    monkeypatch.setattr(stack, "apart", lambda: contextlib.nullcontext({}))
    assert lowered() == watched
    with observation.observing(observation.everything):
        pass
    assert lowered() == watched
