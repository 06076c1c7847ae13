"""Models of every kind read a batch, learn from it, and cost what they say."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.balance import BalanceLoss
from model.config import TransformerConfig
from model.cross_attention import CrossAttention
from model.encoder import MaskedLMConfig
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import MLP
from model.masks import Causal, Full, GivenPrefix, Mask, Segments, SlidingWindow
from model.mixing import Memory
from model.moe import MoE
from model.positions import NoPositions
from model.precision import Precision
from model.spec import ModelSpec

FLOAT = Precision(compute="float32")
ROWS, SEQ, SOURCE = 3, 10, 14
RNG = np.random.default_rng(0)


def stack(mask: Any, layers: int = 2, embed: int = 16, vocab: int = 31) -> TransformerConfig:
    attention = Attention(2, mask=mask, positions=NoPositions())
    return TransformerConfig(layers, embed, vocab, attention, MLP(2 * embed), precision=FLOAT)


DECODER = stack((Causal() | GivenPrefix()) & Segments())
MASKED = MaskedLMConfig(stack(Full() & Segments()))
BOTH = EncoderDecoderConfig(stack(Full() & Segments()), stack(Causal()), CrossAttention(2))


def tokens(length: int) -> jax.Array:
    return jnp.asarray(RNG.integers(0, 31, (ROWS, length)), jnp.int32)


def batch() -> dict[str, jax.Array]:
    segments = np.ones((ROWS, SEQ), np.int32)
    segments[1, 4:] = 2
    prefix = np.zeros((ROWS, SEQ), np.int32)
    prefix[0, :3], prefix[1, :2], prefix[1, 4:7] = 1, 1, 1
    there = (np.arange(SOURCE) < np.array([14, 9, 5])[:, None]).astype(np.int32)
    return {
        "inputs": tokens(SEQ), "segment_ids": jnp.asarray(segments), "prefix": jnp.asarray(prefix),
        "source": tokens(SOURCE), "source_segment_ids": jnp.asarray(there),
    }  # fmt: skip


BATCH = batch()


def built(spec: ModelSpec, size: float = 10.0) -> Any:
    model = spec.build(nnx.Rngs(0))
    nnx.update(model, jax.tree.map(lambda leaf: size * leaf, nnx.state(model, nnx.Param)))
    return model


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (DECODER, {"inputs", "segment_ids", "prefix"}),
        (MASKED, {"inputs", "segment_ids"}),
        (BOTH, {"inputs", "source", "source_segment_ids"}),
    ],
    ids=["decoder", "masked", "both"],
)
def test_what_is_read_matters(spec: ModelSpec, fields: set[str]) -> None:
    """Every field that a model reads changes its logits, and no other does."""
    model, plain = built(spec), {key: value for key, value in BATCH.items() if key in fields}
    logits = model.logits(model.hidden(plain).x)
    assert logits.shape == (ROWS, SEQ, 31) and spec.vocab == 31
    for field in BATCH:
        changed = dict(plain)
        if field in fields:
            changed[field] = jnp.roll(BATCH[field], 1, axis=0)
        else:
            continue
        assert not np.allclose(model.logits(model.hidden(changed).x), logits), field
    if spec is not DECODER:
        whole = model.logits(model.hidden(BATCH).x) if spec is MASKED else logits
        np.testing.assert_array_equal(whole, logits)


def test_a_given_prefix_is_seen_by_all_of_its_document() -> None:
    """Against masks written out pair by pair."""
    for row in range(ROWS):
        segment, prefix = np.asarray(BATCH["segment_ids"])[row], np.asarray(BATCH["prefix"])[row]
        wanted = np.array(
            [[(k <= q or prefix[k] > 0) and segment[q] == segment[k] for k in range(SEQ)] for q in range(SEQ)]
        )
        model = built(dataclasses.replace(DECODER, layers=1), 4.0)
        one = {key: BATCH[key][row : row + 1] for key in ("inputs", "segment_ids", "prefix")}
        logits = np.asarray(model.logits(model.hidden(one).x))[0]
        for key in range(SEQ):
            other = {**one, "inputs": one["inputs"].at[0, key].set((one["inputs"][0, key] + 1) % 31)}
            moved = (np.asarray(model.logits(model.hidden(other).x))[0] != logits).any(-1)
            np.testing.assert_array_equal(moved, wanted[:, key])


@pytest.mark.parametrize("mask", [Causal(), Causal() & SlidingWindow(3)], ids=["causal", "window"])
def test_a_prompt_is_a_prefix(mask: Mask) -> None:
    """Also for later tokens that it would be too far from without being one."""
    model = built(stack(mask | GivenPrefix()))
    prompt = tokens(6)
    found, cache = model.prefill(prompt, jnp.full((ROWS,), 6), 9)
    ones = jnp.ones((ROWS, 6), jnp.int32)
    wanted = model.logits(model.hidden({"inputs": prompt, "prefix": ones}).x)
    np.testing.assert_allclose(found, wanted[:, -1], rtol=1e-4, atol=1e-4)
    without = model.logits(model.hidden({"inputs": prompt}).x)
    assert not np.allclose(found, without[:, -1], atol=1e-3)
    further, _ = model.decode(prompt[:, 0], jnp.full((ROWS,), 6), cache)
    longer = {"inputs": jnp.concatenate([prompt, prompt[:, :1]], 1), "prefix": jnp.pad(ones, ((0, 0), (0, 1)))}
    np.testing.assert_allclose(further, model.logits(model.hidden(longer).x)[:, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["masked", "both"])
def test_flops_are_near_of_xlas(kind: str) -> None:
    """Forward pass, every key computed; what XLA counts of norms and softmax is small at this width."""
    wide = {"embed": 128, "vocab": 128}
    encoder, decoder = stack(Full(), **wide), stack(Full(), **wide)
    spec = MaskedLMConfig(encoder) if kind == "masked" else EncoderDecoderConfig(encoder, decoder, CrossAttention(2))
    model = spec.build(nnx.Rngs(0))
    given = {"inputs": jnp.zeros((1, 64), jnp.int32), "source": jnp.zeros((1, 128), jnp.int32)}
    given["source_segment_ids"] = given["source"] + 1
    run = jax.jit(lambda batch: model.logits(model.hidden(batch).x))
    counted = run.lower(given).compile().cost_analysis()["flops"]
    told = spec.flops_per_token(64) * 64 / 3 if kind == "masked" else spec.flops_per_token(128, 64) * 128 / 3
    assert told == pytest.approx(counted, rel=0.06)


def test_what_an_encoder_routes_counts_as_a_decoders_does() -> None:
    routed = MoE(4, 2, MLP(16), balance=BalanceLoss(0.1), z_loss=0.01)
    encoder = dataclasses.replace(BOTH.encoder, feedforward=routed)
    decoder = dataclasses.replace(BOTH.decoder, feedforward=routed)
    model = built(dataclasses.replace(BOTH, encoder=encoder, decoder=decoder))
    found = model.hidden(BATCH)
    # The encoder alone, read as a decoder that takes the source for its inputs.
    alone = encoder.build(nnx.Rngs(0))
    alone.embedding[...], alone.blocks = model.encoder.embedding[...], model.encoder.blocks
    read = alone.hidden({"inputs": BATCH["source"], "segment_ids": BATCH["source_segment_ids"]})
    assert float(read.loss) > 0.1
    own = {name for name in found.figures if not name.startswith("encoder/")}
    assert own == set(read.figures) and len(found.figures) == 2 * len(own)
    for name, value in read.figures.items():
        np.testing.assert_array_equal(found.figures[f"encoder/{name}"], value)
    x = model.encoder.normalised(read.x)
    of_decoder = model.decoder.hidden(BATCH, None, Memory(x, BATCH["source_segment_ids"]))
    assert float(found.loss) == pytest.approx(float(read.loss + of_decoder.loss), rel=1e-6)
    np.testing.assert_allclose(found.x, of_decoder.x, rtol=1e-6)


def test_stacks_are_told_together() -> None:
    noisy = dataclasses.replace(BOTH, encoder=dataclasses.replace(BOTH.encoder, dropout=0.1))
    assert noisy.noisy and not BOTH.noisy and not MASKED.noisy
    assert len(BOTH.mixings) == 2 and BOTH.longest is None


def test_padding_of_a_prompt_is_no_prefix() -> None:
    """A prompt alone, and the same padded on the right with whatever stands there."""
    model = built(stack(Causal() | GivenPrefix()))
    prompt, length = tokens(4), jnp.full((ROWS,), 4)
    alone, _ = model.prefill(prompt, length, 9)
    for _ in range(2):
        padded, _ = model.prefill(jnp.concatenate([prompt, tokens(3)], 1), length, 9)
        np.testing.assert_allclose(padded, alone, rtol=1e-4, atol=1e-4)
