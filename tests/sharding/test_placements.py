"""Every placement trains as one device does: same loss, gradients, weights; and shards what it says."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from model.attention import Attention
from model.balance import BalanceBias, BalanceLoss
from model.cross_attention import CrossAttention
from model.dispatch import Capacity
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import MLP, GatedMLP, InterleavedFeedForward, LeadingFeedForward
from model.latent_attention import LatentAttention
from model.masks import Causal, Segments
from model.moe import MoE
from model.norms import RMSNorm
from model.positions import Learned, T5Bias
from model.precision import Precision
from model.qk_norm import PerHead
from model.router import Sigmoid
from model.transformer import TransformerConfig
from sharding.placement import Placement
from sharding.placements import Combined, DataParallel, FullySharded, ShardedOptimizer, TensorParallel
from train.objective import CausalLM
from train.optimizers import AdamW
from train.state import Blueprint, abstract_state, fresh_state
from train.step import compile_step, make_step

QUICK = {"xla_backend_optimization_level": 0}
# Dropout, odd vocabulary, two key heads that four devices cannot share, and micro-batches.
ODD = TransformerConfig(
    layers=2, embed=16, vocab=31, dropout=0.2, precision=Precision(compute="float32"),
    attention=Attention(4, kv_heads=2, mask=Causal() & Segments(), qk_norm=PerHead()),
    feedforward=GatedMLP(24), tie_embeddings=False,
)  # fmt: skip
EVEN = dataclasses.replace(
    ODD, vocab=32, dropout=0.0, tie_embeddings=True,
    attention=Attention(4, mask=Causal() & Segments(), positions=Learned(8)),
)  # fmt: skip
# Experts of both ways of dispatch, all that they add to the loss, and micro-batches.
EXPERTS = dataclasses.replace(
    ODD, vocab=32, dropout=0.0,
    feedforward=InterleavedFeedForward((
        MoE(6, 2, GatedMLP(8, bias=True), shared=MLP(8), balance=BalanceLoss(0.1), z_loss=0.1),
        MoE(4, 2, MLP(8), Sigmoid(2, 1), Capacity(1.0), balance=BalanceBias(0.1, weight=0.1)),
    )),
)  # fmt: skip
# An encoder that sees both ways, and a decoder of another depth with one table for both; sources are longer.
PAIRED = EncoderDecoderConfig(
    encoder=dataclasses.replace(
        ODD, layers=1, tie_embeddings=True,
        attention=Attention(4, kv_heads=2, mask=Segments(), positions=T5Bias(8, 16, bidirectional=True)),
    ),
    decoder=dataclasses.replace(ODD, attention=Attention(4, kv_heads=2, mask=Causal() & Segments())),
    cross=CrossAttention(4, kv_heads=2),
)  # fmt: skip
# What stages can do, whose micro-batches are others than those of one device: no dropout, nothing added to the loss.
ROUTED = dataclasses.replace(ODD, vocab=32, dropout=0.0, feedforward=MoE(6, 2, GatedMLP(8, bias=True), shared=MLP(8)))
STEADY = dataclasses.replace(
    PAIRED,
    encoder=dataclasses.replace(PAIRED.encoder, dropout=0.0), decoder=dataclasses.replace(PAIRED.decoder, dropout=0.0),
)  # fmt: skip
# Heads from small vectors, and a few dense blocks before those with experts.
LATENT = dataclasses.replace(
    ODD, layers=3, vocab=32, dropout=0.0,
    attention=LatentAttention(4, 16, 16, 4, 2, 4, mask=Causal() & Segments(), norm=RMSNorm(1e-6)),
    feedforward=LeadingFeedForward(1, GatedMLP(24), MoE(8, 2, GatedMLP(8), Sigmoid(2, 1), shared=GatedMLP(8))),
)  # fmt: skip
CASES = {
    "odd": (ODD, 2), "even": (EVEN, 1), "experts": (EXPERTS, 2), "paired": (PAIRED, 2), "routed": (ROUTED, 2),
    "steady": (STEADY, 1), "latent": (LATENT, 1),
}  # fmt: skip
QUICKLY, LATER = ("odd",), ("experts", "paired")
# Each with the cases that the default suite and the slow one try it on.
PLACEMENTS: dict[str, tuple[Placement, tuple[str, ...], tuple[str, ...]]] = {
    "data": (DataParallel(), QUICKLY, LATER),
    "fsdp": (FullySharded(), QUICKLY, (*LATER, "latent")),
    "replicas": (FullySharded(data=2), (), QUICKLY),
    "tensor 2": (TensorParallel(tensor=2), ("odd", "even"), LATER),
    "tensor 4": (TensorParallel(tensor=4, fsdp=2), (), ("odd", "even", "paired")),
    "combined": (Combined(data=2, fsdp=2, tensor=2), QUICKLY, (*LATER, "latent")),
    "slices": (Combined(slices=2, fsdp=2, tensor=2), (), ("odd", *LATER)),
    "context 2": (Combined(context=2, tensor=2), QUICKLY, ("even",)),
    "context 4": (Combined(context=4, fsdp=2), (), ("odd", "experts", "latent")),
    "expert 2": (Combined(expert=2, fsdp=4), (), ("experts", "latent")),
    "expert and tensor": (Combined(expert=2, fsdp=2, tensor=2), (), ("experts",)),
    # Attention and the experts of a layer communicate independently of each other (`data/devices.py`).
    "context and experts": (Combined(context=2, expert=2, fsdp=2), (), ("experts",)),
    # What dropout leaves out is drawn for each micro-batch by itself, so not with a rate.
    "stages": (Combined(stage=2, fsdp=4), (), ("even",)),
    "stages and more": (Combined(stage=2, context=2, tensor=2, fsdp=1), (), ("even", "routed")),
    "stages and replicas": (Combined(stage=2, data=2, fsdp=2), (), ("steady",)),
    "stages and experts": (Combined(stage=2, expert=2, fsdp=2, micro=4), (), ("routed",)),
    "optimizer": (ShardedOptimizer(), QUICKLY, LATER),
    "optimizer and more": (ShardedOptimizer(slices=2, fsdp=2, tensor=2), (), ("odd", "even", *LATER, "latent")),
    "optimizer over experts": (ShardedOptimizer(data=1, fsdp=2, expert=4), (), ("experts", "latent")),
}  # fmt: skip
# An epsilon as large as gradients: else the first step of Adam is a sign, which no rounding respects.
OPTIMIZER = AdamW(eps=1e-2, clip=0.5)


def batch(case: str) -> dict[str, np.ndarray]:
    """Rows of two documents, with weights that leave out much of some rows and all of another."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 31, (16, 9)).astype(np.int32)
    weights = (rng.random((16, 8)) < np.linspace(0.2, 1, 16)[:, None]).astype(np.float32)
    weights[5] = 0
    cut = rng.integers(1, 8, (16, 1))
    place = np.arange(8)
    fields = {
        "inputs": tokens[:, :-1],
        "targets": tokens[:, 1:],
        "weights": weights,
        "segment_ids": (1 + (place >= cut)).astype(np.int32),
        "positions": np.where(place >= cut, place - cut, place).astype(np.int32),
    }
    if case in ("paired", "steady"):
        # Two sources a row, and padding.
        within = np.arange(11)[None]
        fields["source"] = rng.integers(0, 31, (16, 11)).astype(np.int32)
        fields["source_segment_ids"] = ((within < 9) * (1 + (within >= cut))).astype(np.int32)
    return fields


@functools.cache
def stepped(case: str, name: str | None) -> tuple[Any, Any, Any, Any]:
    """State before and after two steps (weights and gradients of each), and metrics; None: one device."""
    config, accumulate = CASES[case]
    layout = DataParallel().on(jax.devices()[:1]) if name is None else PLACEMENTS[name][0].on()
    blueprint = Blueprint(config)
    optimizer = optax.chain(
        optax.trace(0.0),  # keeps the gradient as it came
        OPTIMIZER.transform(optax.constant_schedule(0.1), blueprint.table),
    )
    weights = jax.tree.map(jnp.asarray, initial(case))
    abstract = abstract_state(blueprint, optimizer, layout)
    state = jax.device_put(
        type(abstract)(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), weights, optimizer.init(weights), {}),
        jax.tree.map(lambda leaf: leaf.sharding, abstract),
    )
    data = jax.device_put(batch(case), layout.batch)
    step = make_step(
        blueprint, CausalLM(1e-2), optimizer, optax.constant_schedule(0.1), seed=3, accumulate=accumulate
    )
    compiled = compile_step(step, abstract, data, layout, QUICK)
    history = []
    for _ in range(2):
        state, metrics = compiled(state, data)
        history.append(
            jax.tree.map(np.asarray, {"gradient": state.optimizer[0].trace, "weight": state.weights})
        )
    return history, jax.tree.map(float, metrics), state, abstract


@functools.cache
def initial(case: str) -> Any:
    rng = np.random.default_rng(1)
    shapes = Blueprint(CASES[case][0]).shapes
    return jax.tree.map(lambda x: (rng.normal(size=x.shape) * 0.2 + 0.1).astype(np.float32), shapes)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, marks=[pytest.mark.slow] * (case in later))
        for name, (_, quickly, later) in PLACEMENTS.items()
        for case in quickly + later
    ],
)
def test_sharded_is_unsharded(case: str, name: str) -> None:
    expected, expected_metrics, _, _ = stepped(case, None)
    found, metrics, _, _ = stepped(case, name)
    assert metrics.keys() == expected_metrics.keys()
    for key, value in metrics.items():
        assert value == pytest.approx(expected_metrics[key], rel=1e-5), key
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        # The second step's gradient is at weights that rounding has moved.
        tolerance = 1e-5 if i == 0 else 5e-5
        for path, leaf in jax.tree.leaves_with_path(one):
            wanted = dict(jax.tree.leaves_with_path(other))[path]
            atol = tolerance * np.abs(wanted).max()
            np.testing.assert_allclose(leaf, wanted, rtol=0, atol=atol, err_msg=f"{i} {path}")
    for path, leaf in jax.tree.leaves_with_path(found[0]["gradient"]):
        assert np.abs(leaf).max() > 1e-5 or path[-1].key == "balance_bias", path


# Shapes of one device's share, by hand.
SHARES = {
    "data": {"embedding": (31, 16), "query": (2, 16, 4, 4), "key": (2, 16, 2, 4), "down": (2, 24, 16)},
    "fsdp": {"embedding": (31, 2), "query": (2, 2, 4, 4), "key": (2, 2, 2, 4), "down": (2, 24, 2)},
    "replicas": {"embedding": (31, 4), "query": (2, 4, 4, 4), "key": (2, 4, 2, 4), "down": (2, 24, 4)},
    "tensor 2": {"embedding": (31, 4), "query": (2, 4, 2, 4), "key": (2, 4, 1, 4), "down": (2, 12, 4)},
    "combined": {"embedding": (31, 8), "query": (2, 8, 2, 4), "key": (2, 8, 1, 4), "down": (2, 12, 8)},
    "tensor 4": {"embedding": (31, 8), "query": (2, 8, 1, 4), "key": (2, 8, 2, 4), "down": (2, 6, 8)},
    "slices": {"embedding": (31, 8), "query": (2, 8, 2, 4), "key": (2, 8, 1, 4), "down": (2, 12, 8)},
    "context 4": {"embedding": (31, 2), "query": (2, 2, 4, 4), "key": (2, 2, 2, 4), "down": (2, 24, 2)},
    "context 2": {"embedding": (31, 4), "query": (2, 4, 2, 4), "key": (2, 4, 1, 4), "down": (2, 12, 4)},
    "optimizer": {"embedding": (31, 2), "query": (2, 2, 4, 4), "key": (2, 2, 2, 4), "down": (2, 24, 2)},
    # Over 4 in the width, over 2 in heads and hidden units; the odd vocabulary leaves that to the width.
    "optimizer and more": {"embedding": (31, 2), "query": (2, 4, 2, 4), "key": (2, 4, 1, 4), "down": (2, 12, 4)},
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("odd" not in PLACEMENTS[name][1])) for name in SHARES]
)
def test_weights_and_moments_lie_as_the_rules_say(name: str) -> None:
    _, _, state, abstract = stepped("odd", name)
    attention = state.weights["blocks"]["0"]["attention"]
    feedforward = state.weights["blocks"]["0"]["feedforward"]
    held = {
        "embedding": state.weights["embedding"],
        "query": attention["query"],
        "key": attention["key"],
        "down": feedforward["down"],
    }
    for part, array in held.items():
        assert array.addressable_shards[0].data.shape == SHARES[name][part], part
        assert len(array.addressable_shards) == 8
        distinct = array.size // np.prod(SHARES[name][part])
        assert len({str(shard.index) for shard in array.addressable_shards}) == distinct
    adam = state.optimizer[1][1]
    for moments in (state.optimizer[0].trace, adam.mu, adam.nu):
        for moment, weight in zip(
            jax.tree.leaves(moments), jax.tree.leaves(state.weights), strict=True
        ):
            assert moment.sharding.is_equivalent_to(weight.sharding, weight.ndim)
    for leaf, wanted in zip(jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True):
        assert leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)
        assert (leaf.shape, leaf.dtype) == (wanted.shape, wanted.dtype)


# How many devices share a matrix that makes heads, which `tensor` divides; replicas have the same.
WAYS = {"fsdp": 8, "combined": 4, "context 4": 8, "optimizer over experts": 8}


@pytest.mark.parametrize(("name", "ways"), WAYS.items())
def test_what_makes_heads_of_latents_is_divided(name: str, ways: int) -> None:
    blueprint, layout = Blueprint(LATENT), PLACEMENTS[name][0].on()
    optimizer = OPTIMIZER.transform(optax.constant_schedule(0.1), blueprint.table)
    attention = abstract_state(blueprint, optimizer, layout).weights["blocks"]["0"]["attention"]
    for part in ("query_up", "key_up", "value_up", "output"):
        assert np.prod(attention[part].sharding.shard_shape(attention[part].shape)) == attention[part].size // ways


def test_even_sizes_are_split_in_the_vocabulary() -> None:
    _, _, state, _ = stepped("even", "tensor 2")
    assert state.weights["embedding"].addressable_shards[0].data.shape == (16, 4)


def test_fresh_weights_are_the_same_on_any_layout() -> None:
    attention = Attention(4, kv_heads=2)
    config = dataclasses.replace(
        ODD, attention=attention, feedforward=MLP(24), tie_embeddings=True, layers=1
    )
    blueprint = Blueprint(config)
    optimizer = AdamW().transform(optax.constant_schedule(0.1), blueprint.table)
    layouts = [DataParallel().on(jax.devices()[:1]), PLACEMENTS["tensor 4"][0].on()]
    one, sharded = (fresh_state(blueprint, optimizer, layout, seed=5) for layout in layouts)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(sharded), strict=True):
        np.testing.assert_array_equal(a, b)
    wanted = abstract_state(blueprint, optimizer, layouts[1])
    for leaf, shape in zip(jax.tree.leaves(sharded), jax.tree.leaves(wanted), strict=True):
        assert leaf.sharding.is_equivalent_to(shape.sharding, leaf.ndim)


def test_what_stays_whole_is_told() -> None:
    notes = Blueprint(ODD).undivided(TensorParallel(tensor=4, fsdp=2).on())
    assert sorted(notes) == [
        "blocks.0.attention.key: kv_heads of 2 is not divisible by 4 (tensor)",
        "blocks.0.attention.value: kv_heads of 2 is not divisible by 4 (tensor)",
        "embedding: vocab of 31 is not divisible by 4 (tensor)",
        "unembedding: vocab of 31 is not divisible by 4 (tensor)",
    ]
    assert Blueprint(EVEN).undivided(TensorParallel(tensor=4, fsdp=2).on()) == []
