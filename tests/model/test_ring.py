"""Ring attention on eight devices against softmax attention and its derivative in NumPy float64."""

import dataclasses
import importlib.util
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import Attention, kernel_of
from model.cpu_attention import Recomputed
from model.cross_attention import CrossAttention
from model.decoding import generate
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import GatedMLP
from model.head_exchange import AllToAllHeads
from model.kernels import Blocked
from model.latent_attention import LatentAttention
from model.masks import (
    Causal,
    Full,
    GivenPrefix,
    Global,
    Prefix,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
    Window,
)
from model.mixing import Mixing
from model.positions import Alibi, T5Bias
from model.precision import Precision
from model.ring import Ring
from model.spec import ModelSpec
from model.splash import Splash
from model.transformer import TransformerConfig
from sharding.axes import active
from sharding.placement import Layout
from sharding.placements import Combined, DataParallel
from train.objective import CrossEntropy
from train.state import Blueprint

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

QUICK = {"xla_backend_optimization_level": 0}


def packed(length: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).integers(0, 3, (2, length)), axis=1)


SMALL = Splash(128, 128, 128, interpret=True)
EIGHT, FOUR = Combined(context=8), Combined(context=4, tensor=2)
CASES = {
    "causal": (EIGHT, Ring(), Case(Causal(), 16, 4, 2)),
    "causal, straight": (EIGHT, Ring(zigzag=False), Case(Causal(), 16, 4, 2)),
    "causal, in blocks": (FOUR, Ring(block=2), Case(Causal() & Segments(), 32, 4, 2, packed(32))),
    "odd stretches, key heads repeated": (FOUR, Ring(), Case(Causal(), 20, 4, 1)),
    "window": (EIGHT, Ring(), Case(Causal() & SlidingWindow(5), 32, 2, 1)),
    "both ways": (FOUR, Ring(block=4), Case(Window(3, 5) & Segments(), 32, 2, 1, packed(32))),
    "everything": (FOUR, Ring(), Case(Full(), 16, 2, 2)),
    "prefix": (FOUR, Ring(), Case(Causal() | Prefix(6), 16, 2, 1)),
    "strided, softcap and sinks": (
        FOUR, Ring(block=2), Case(Causal() & (Sinks(1) | Strided(5)), 32, 4, 2, None, 1.5, False, True),
    ),
    "bias, softcap, packed": (
        FOUR, Ring(block=2), Case(Causal() & Segments(), 32, 4, 2, packed(32), 1.5, True, True),
    ),
    "bigbird": (FOUR, Ring(block=4), Case(Global(2) | Window(2, 2) | RandomBlocks(4, 1, seed=1, blocks=8), 32)),
    "splash, causal and packed": (
        FOUR, Ring(SMALL), Case(Causal() & Segments(), 1024, 4, 2, packed(1024), softcap=1.5, sinks=True),
    ),
    "splash, window": (FOUR, Ring(SMALL), Case(Causal() & SlidingWindow(70), 512, 2, 1)),
    "queries without keys": (FOUR, Ring(block=2), Case(Causal() & ~SlidingWindow(9), 32, 2, 1)),
    "nothing seen": (FOUR, Ring(), Case(~Full(), 16)),
}  # fmt: skip


# Those that the others show as well take their time among the slow ones.
QUICKLY = ("causal", "window", "causal, in blocks", "strided, softcap and sinks", "queries without keys")


@pytest.mark.parametrize(
    "name", [name if name in QUICKLY else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_a_ring_is_softmax_attention(name: str) -> None:
    placement, kernel, case = CASES[name]
    with active(placement.on(jax.devices())):
        agree([kernel], case, 1e-5, QUICK)


def model(attention: Mixing, **changes: Any) -> TransformerConfig:
    """A small decoder."""
    return TransformerConfig(
        layers=1, embed=16, vocab=24, attention=attention, feedforward=GatedMLP(24),
        precision=Precision(compute="float32"), **changes,
    )  # fmt: skip


LATENT = LatentAttention(4, 8, 6, 4, 4, 6, mask=Causal() & Segments())
BIASED = Attention(4, kv_heads=2, mask=Causal(), positions=T5Bias(8, 16))
PREFIXED = Attention(4, kv_heads=2, mask=(Causal() | GivenPrefix()) & Segments())
ENCODER = model(Attention(4, mask=Segments(), positions=Alibi()))
MODELS: dict[str, tuple[ModelSpec, int]] = {
    "latent": (model(LATENT), 16),
    "t5 bias": (model(BIASED), 16),
    "given prefix": (model(PREFIXED), 16),
    "encoder-decoder": (EncoderDecoderConfig(ENCODER, model(PREFIXED), CrossAttention(4, kv_heads=2)), 24),
    "encoder-decoder, odd source": (EncoderDecoderConfig(ENCODER, model(PREFIXED), CrossAttention(4)), 21),
    "all to all": (model(dataclasses.replace(PREFIXED, mask=Causal(), kernel=AllToAllHeads())), 16),
}


def learnt(config: ModelSpec, source: int, layout: Layout) -> Any:
    """Loss and gradients of a batch of packed rows, of which the first half is a prefix."""
    rng = np.random.default_rng(0)
    place = np.arange(16)[None]

    def segments(length: int) -> np.ndarray:
        return np.sort(rng.integers(1, 3, (4, length)), axis=1).astype(np.int32)

    batch = {
        "inputs": rng.integers(0, 24, (4, 16)), "targets": rng.integers(0, 24, (4, 16)), "segment_ids": segments(16),
        "positions": place + 0 * segments(16), "prefix": (place < 8) + 0 * segments(16),
        "weights": rng.random((4, 16)).astype(np.float32), "source": rng.integers(0, 24, (4, source)),
        "source_segment_ids": segments(source),
    }  # fmt: skip
    batch = {name: x if x.dtype == np.float32 else x.astype(np.int32) for name, x in batch.items()}
    blueprint = Blueprint(config)
    weights = jax.tree.map(lambda x: (rng.normal(size=x.shape) * 0.3).astype(np.float32), blueprint.shapes)

    def loss(weights: Any, batch: Any) -> Any:
        return CrossEntropy(chunk=4).sums(blueprint.model(weights), batch, None).loss

    with active(layout):
        weights, batch = jax.device_put(weights, blueprint.shardings(layout)), jax.device_put(batch, layout.batch)
        step = jax.jit(jax.value_and_grad(loss), out_shardings=layout.replicated)
        return jax.tree.map(np.asarray, step.lower(weights, batch).compile(QUICK)(weights, batch))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_models_learn_the_same_from_a_divided_sequence(name: str) -> None:
    config, source = MODELS[name]
    one = learnt(config, source, DataParallel().on(jax.devices()[:1]))
    shared = learnt(config, source, Combined(context=4, fsdp=2).on(jax.devices()))
    for path, wanted in jax.tree.leaves_with_path(one):
        found = dict(jax.tree.leaves_with_path(shared))[path]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=f"{path}")


def test_kernels_that_know_nothing_of_it_go_inside_a_ring() -> None:
    with active(Combined(context=2).on(jax.devices())):
        assert kernel_of(None) == Ring(Recomputed())
        assert kernel_of(Blocked(64)) == Ring(Blocked(64))
        assert kernel_of(AllToAllHeads()) == AllToAllHeads()
    with active(Combined(tensor=2).on(jax.devices())):
        assert kernel_of(Blocked(64)) == Blocked(64)


def test_a_kept_ring_does_not_go_round_again() -> None:
    """Loops over turns, the two between the first and the last: one more where the policy keeps nothing."""
    batch = {name: jax.ShapeDtypeStruct((4, 48), jnp.int32) for name in ("inputs", "targets")}
    batch["weights"] = jax.ShapeDtypeStruct((4, 48), jnp.float32)
    loops = {}
    for remat in ("none", "full", "save_attention"):
        blueprint = Blueprint(model(Attention(4, mask=Causal()), remat=remat))

        def loss(weights: Any, batch: Any, blueprint: Blueprint = blueprint) -> Any:
            return CrossEntropy().sums(blueprint.model(weights), batch, None).loss

        with active(Combined(context=4, fsdp=2).on(jax.devices())):
            text = str(jax.make_jaxpr(jax.grad(loss))(blueprint.shapes, batch))
        loops[remat] = text.count("length=2")
    assert loops["save_attention"] == loops["none"] == loops["full"] - 1


def scans(jaxpr: Any) -> Any:
    """All loops of a program, those within others too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for inner in jax.core.jaxprs_in_params(equation.params):
            yield from scans(inner)


@pytest.mark.parametrize("within", [None, SMALL])
def test_nothing_is_kept_for_every_turn(within: Splash | None) -> None:
    """What follows from a device's number alone JAX would work out before the layers, for all turns at once."""
    batch = {name: jax.ShapeDtypeStruct((1, 2048), jnp.int32) for name in ("inputs", "targets", "segment_ids")}
    batch["weights"] = jax.ShapeDtypeStruct((1, 2048), jnp.float32)
    attention = Attention(2, head_dim=8, mask=Causal() & Segments(), kernel=Ring(within))
    blueprint = Blueprint(dataclasses.replace(model(attention, remat="save_attention"), layers=3))

    def loss(weights: Any, batch: Any) -> Any:
        return CrossEntropy().sums(blueprint.model(weights), batch, None).loss

    with active(Combined(context=8, fsdp=1).on(jax.devices())):
        program = jax.make_jaxpr(jax.grad(loss))(blueprint.shapes, batch)
    # Between the first and the last turn, forwards and backwards.
    loops = [loop for loop in scans(program.jaxpr) if loop.params["length"] == 6]
    assert len(loops) >= 2
    for loop in loops:
        # Segments go round once for all layers.
        stacked = [x.aval for x in loop.outvars[loop.params["num_carry"] :]]
        assert all(x.dtype == jnp.int32 and x.size == 6 * 2 * 128 for x in stacked), stacked


@pytest.mark.parametrize(
    "attention", [Attention(5, head_dim=8, mask=Causal()), dataclasses.replace(LATENT, value_dim=10)]
)
def test_output_is_kept_once(attention: Mixing) -> None:
    """In the order of the ring, and not in that of the row besides."""
    batch = {name: jax.ShapeDtypeStruct((4, 48), jnp.int32) for name in ("inputs", "targets", "segment_ids")}
    batch["weights"] = jax.ShapeDtypeStruct((4, 48), jnp.float32)
    blueprint = Blueprint(model(attention, remat="save_attention"))

    def pull(weights: Any, batch: Any) -> Any:
        return jax.vjp(lambda w: CrossEntropy().sums(blueprint.model(w), batch, None).loss, weights)[1]

    with active(Combined(context=4, fsdp=2).on(jax.devices())):
        kept = jax.tree.leaves(jax.eval_shape(pull, blueprint.shapes, batch))
    assert sum(leaf.size == 4 * 48 * 40 for leaf in kept) == 1


@pytest.mark.slow
def test_a_prompt_is_read_and_continued() -> None:
    """Prefill divides the row of 32, the cache of one token a step is whole."""
    config = model(Attention(4, kv_heads=2, mask=Causal() & (Sinks(2) | SlidingWindow(9))))
    prompts = [[1, 2, 3, 4, 5], [6, 7, 8]]
    weights = Blueprint(config).weights(jax.random.key(0))
    expected = generate(Blueprint(config).model(weights), prompts, new_tokens=6)
    layout = Combined(context=4, fsdp=2).on(jax.devices())
    with active(layout):
        weights = jax.device_put(weights, Blueprint(config).shardings(layout))
        assert generate(Blueprint(config).model(weights), prompts, new_tokens=6) == expected


def test_nothing_of_the_stream_is_gathered() -> None:
    """In a step of context parallelism keys go round, and of activations no device ever holds a whole row."""
    length, layout = 48, Combined(context=4, fsdp=2).on(jax.devices())
    blueprint = Blueprint(model(Attention(4, kv_heads=2, mask=Causal() & Segments())))
    shapes = dict.fromkeys(("inputs", "targets", "segment_ids", "positions"), jnp.int32) | {"weights": jnp.float32}
    batch = {name: jax.ShapeDtypeStruct((4, length), kind, sharding=layout.batch) for name, kind in shapes.items()}
    weights = jax.tree.map(
        lambda leaf, at: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=at),
        blueprint.shapes, blueprint.shardings(layout),
    )  # fmt: skip

    def loss(weights: Any, batch: Any) -> Any:
        return CrossEntropy(chunk=16).sums(blueprint.model(weights), batch, None).loss

    with active(layout):
        text = jax.jit(jax.grad(loss)).lower(weights, batch).compile(QUICK).as_text()
    assert re.search(r" collective-permute(-start)?\(", text)
    gathered = re.findall(r"= (.*?) (?:all-gather|all-to-all)(?:-start)?\(", text)
    shapes = [tuple(map(int, dims.split(","))) for found in gathered for dims in re.findall(r"\[([\d,]+)\]", found)]
    # Weights are gathered, and none of these has an axis of a row, or of rows and places folded into one.
    assert shapes and not any(size % length == 0 for shape in shapes for size in shape if size > 1)
