"""Multi-token prediction against losses taken token by token, and what it leaves alone."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.config import TransformerConfig
from model.feedforward import GatedMLP
from model.masks import Causal, Full, GivenPrefix, Segments
from model.moe import MoE
from model.multi_token import MultiTokenConfig
from model.precision import Precision
from train.multi_token import MultiTokenPrediction
from train.objective import CrossEntropy
from train.state import Blueprint

DECODER = TransformerConfig(
    2, 16, 23, Attention(2, mask=Causal() & Segments()), GatedMLP(24), precision=Precision(compute="float32")
)
CONFIG = MultiTokenConfig(DECODER, further=2)
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 23, (2, 10)).astype(np.int32)
SEGMENTS = np.array([[1] * 9, [1] * 4 + [2] * 5], np.int32)
WEIGHTS = np.array([[1] * 7 + [0] * 2, [1, 0.5] + [1] * 7], np.float32)
BATCH = {
    "inputs": jnp.asarray(TOKENS[:, :-1]), "targets": jnp.asarray(TOKENS[:, 1:]),
    "weights": jnp.asarray(WEIGHTS), "segment_ids": jnp.asarray(SEGMENTS),
}  # fmt: skip


def model(config: MultiTokenConfig = CONFIG) -> Any:
    made = config.build(nnx.Rngs(0))
    nnx.update(made, jax.tree.map(lambda leaf: 5 * leaf, nnx.state(made, nnx.Param)))
    return made


def nll(logits: Any, targets: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    return np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]


def test_the_loss_is_that_of_each_token_by_itself() -> None:
    made = model()
    hidden = made.hidden(BATCH)
    first = (nll(made.logits(hidden.x), TOKENS[:, 1:]) * WEIGHTS).sum()
    further = 0.0
    for k, x in enumerate(made.ahead(BATCH, hidden.x), 1):
        each = made.logits(x)
        for row in range(2):
            for place in range(9 - k):
                if SEGMENTS[row, place] == SEGMENTS[row, place + k]:
                    target = TOKENS[row, 1 + place + k]
                    one = nll(each[row, place], np.array(target))
                    further += WEIGHTS[row, place + k] * one
    found = MultiTokenPrediction(further=0.6).sums(made, BATCH, None)
    assert float(found.nll) == pytest.approx(first, rel=1e-5)
    assert float(found.loss) == pytest.approx(first + 0.3 * further, rel=1e-5)
    assert float(found.weight) == WEIGHTS.sum()


def test_no_place_sees_what_it_is_asked_for() -> None:
    """A further module at place i may know the tokens up to k places on, and no later one."""
    made = model()

    def streams(tokens: np.ndarray) -> list[np.ndarray]:
        batch = {"inputs": jnp.asarray(tokens)}
        return [np.asarray(x) for x in made.ahead(batch, made.hidden(batch).x)]

    plain = streams(TOKENS[:, :-1])
    for at in range(3, 9):
        changed = TOKENS[:, :-1].copy()
        changed[:, at] = (changed[:, at] + 1) % 23
        for k, (before, after) in enumerate(zip(plain, streams(changed), strict=True), 1):
            moved = (before != after).any((0, 2))
            assert not moved[: at - k].any() and moved[at - k], (at, k)


def test_of_a_prefix_only_the_last_place_is_asked_for_more() -> None:
    """The places before it see their further targets' tokens, through later places of the prefix."""
    attention = Attention(2, mask=Causal() | GivenPrefix())
    made = model(MultiTokenConfig(dataclasses.replace(DECODER, attention=attention), further=2))
    length = 5
    batch = {
        "inputs": BATCH["inputs"], "targets": BATCH["targets"],
        "prefix": jnp.asarray(np.tile(np.arange(9) < length, (2, 1)), jnp.int32),
        "weights": jnp.asarray(np.tile(np.arange(9) >= length - 1, (2, 1)), jnp.float32),
    }  # fmt: skip
    hidden = made.hidden(batch)
    wanted = nll(made.logits(hidden.x), TOKENS[:, 1:])[:, length - 1 :].sum()
    for k, x in enumerate(made.ahead(batch, hidden.x), 1):
        each = nll(made.logits(x)[:, : 9 - k], TOKENS[:, 1 + k :])
        wanted += 0.3 * each[:, length - 1 :].sum()
    assert float(MultiTokenPrediction(further=0.6).sums(made, batch, None).loss) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.slow
def test_the_decoder_is_left_alone() -> None:
    """The next token's likelihood does not depend on the further modules, and only training learns them."""
    made = model()
    wanted = CrossEntropy().sums(made, BATCH, None)
    assert float(MultiTokenPrediction().sums(made, BATCH, None).nll) == pytest.approx(float(wanted.nll), rel=1e-6)
    blueprint = Blueprint(CONFIG)
    weights = jax.jit(blueprint.weights)(jax.random.key(0))

    def loss(objective: CrossEntropy) -> Any:
        return jax.grad(lambda w: objective.sums(blueprint.model(w), BATCH, None).loss)(weights)

    learnt = loss(MultiTokenPrediction())
    assert all(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(learnt["further2"]))
    assert not any(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(loss(CrossEntropy())["further1"]))


def test_in_stretches_it_is_the_same() -> None:
    made = model()
    whole, parts = (MultiTokenPrediction(chunk=chunk).sums(made, BATCH, None) for chunk in (0, 4))
    assert float(parts.loss) == pytest.approx(float(whole.loss), rel=1e-5)


def test_flops_are_near_xlas() -> None:
    decoder = dataclasses.replace(
        DECODER, embed=128, vocab=128, feedforward=GatedMLP(256), attention=Attention(2, mask=Full())
    )
    made = MultiTokenConfig(decoder).build(nnx.Rngs(0))

    def forward(batch: Any) -> Any:
        hidden = made.hidden(batch)
        return [made.logits(x) for x in (hidden.x, *made.ahead(batch, hidden.x))]

    given = {"inputs": jnp.zeros((1, 128), jnp.int32)}
    counted = jax.jit(forward).lower(given).compile().cost_analysis()["flops"]
    assert MultiTokenConfig(decoder).flops_per_token(128) * 128 / 3 == pytest.approx(counted, rel=0.08)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="further is 0; it is at least 1"):
        MultiTokenConfig(DECODER, further=0)
    routed = dataclasses.replace(DECODER, feedforward=MoE(2, 1, GatedMLP(8)))
    with pytest.raises(ValueError, match="routes in its last block"):
        MultiTokenConfig(routed)
