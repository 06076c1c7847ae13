"""Entropy and largest logit of attention, against dense NumPy in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from model import attention_entropy
from model.attention_entropy import spread
from model.kernels import Scores, Visibility
from model.masks import Causal, Full, Mask, Places, Segments, SlidingWindow
from model.observation import Attended


def dense(attended: Attended, seen: np.ndarray) -> tuple[float, float]:
    """By a loop over queries; `seen` is [batch, queries, keys]."""
    q, k = (np.asarray(x, np.float64) for x in attended[:2])
    scores, group = attended.scores, q.shape[2] // k.shape[2]
    entropies, highest = [], -np.inf
    for b, i, h in np.ndindex(q.shape[:3]):
        keys = np.flatnonzero(seen[b, i])
        if not len(keys):
            continue
        logits = np.array([q[b, i, h] @ k[b, j, h // group] * scores.scale for j in keys])
        if scores.softcap:
            logits = scores.softcap * np.tanh(logits / scores.softcap)
        if scores.bias is not None:
            logits = logits + np.asarray(scores.bias, np.float64)[h, i, keys]
        highest = max(highest, logits.max())
        if scores.sinks is not None:
            logits = np.append(logits, float(scores.sinks[h]))
        p = np.exp(logits - logits.max())
        p /= p.sum()
        entropies.append(-(p * np.log(np.maximum(p, 1e-300))).sum())
    return float(np.mean(entropies)), float(highest)


@pytest.mark.parametrize(
    ("mask", "softcap", "biased", "sinks"),
    [
        (Causal(), 0.0, False, False),
        (Causal() & SlidingWindow(3) & Segments(), 0.0, False, True),
        (Full(), 2.0, True, False),
        (~Causal(), 0.0, True, False),  # the last query sees no key
    ],
)
def test_spread_is_that_of_the_dense_softmax(
    mask: Mask, softcap: float, biased: bool, sinks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_entropy, "_BLOCK", 4)
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 10, 4, 3)) * 2, rng.standard_normal((2, 10, 2, 3)) * 2
    bias = jnp.asarray(rng.standard_normal((4, 10, 10)), jnp.float32) if biased else None
    segments = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2, 2, 2], [1, 2, 2, 2, 2, 2, 2, 3, 3, 3]], 1, axis=0)
    index = jnp.arange(10)[None]
    places = Places(index, jnp.asarray(segments))
    scores = Scores(0.6, bias, softcap, jnp.asarray(rng.standard_normal(4), jnp.float32) if sinks else None)
    attended = Attended(
        jnp.asarray(q, jnp.float32), jnp.asarray(k, jnp.float32), Visibility(mask, places, places, True), scores
    )
    at, to = np.arange(10)[:, None], np.arange(10)[None]
    same = segments[:, :, None] == segments[:, None]
    seen = {
        Causal(): np.broadcast_to(to <= at, same.shape),
        Causal() & SlidingWindow(3) & Segments(): (to <= at) & (at - to < 3) & same,
        Full(): np.ones_like(same),
        ~Causal(): np.broadcast_to(to > at, same.shape),
    }[mask]
    entropy, highest = dense(attended, seen)
    found = spread(attended)
    assert found.entropy == pytest.approx(entropy, rel=1e-5) and found.logit_max == pytest.approx(highest, rel=1e-5)


def test_equal_keys_spread_attention_evenly() -> None:
    places = Places(jnp.arange(300)[None], None)
    attended = Attended(
        jnp.ones((1, 300, 1, 2)), jnp.ones((1, 300, 1, 2)), Visibility(Causal(), places, places, True), Scores(0.5)
    )
    found = spread(attended)
    assert found.entropy == pytest.approx(np.log(np.arange(1, 301)).mean(), rel=1e-5) and found.logit_max == 1
