"""A pipeline computes what one device does: its schedule by simulation, losses and gradients by the plain stack's."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import Attention
from model.balance import BalanceLoss
from model.config import TransformerConfig
from model.cross_attention import CrossAttention
from model.dispatch import Capacity
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import MLP, GatedMLP, LeadingFeedForward
from model.masks import Causal, GivenPrefix, Segments, SlidingWindow
from model.mixing import Interleaved
from model.moe import MoE
from model.observation import everything, observing
from model.pipeline import pipelined
from model.pipeline_schedule import Schedule, schedule_of
from model.positions import Rope, T5Bias
from model.precision import Precision
from model.spec import ModelSpec
from model.stochastic_depth import StochasticDepth
from sharding.axes import active
from sharding.placement import Layout
from sharding.placements import Combined, DataParallel
from train.objective import CrossEntropy
from train.state import Blueprint

QUICK = {"xla_backend_optimization_level": 0}
ROWS, LENGTH, SOURCE, VOCAB = 16, 8, 6, 13
DENSE = TransformerConfig(
    layers=4, embed=8, vocab=VOCAB, precision=Precision(compute="float32"), feedforward=GatedMLP(12),
    attention=Attention(4, kv_heads=2, mask=Causal() & Segments(), positions=Rope(100.0)),
)  # fmt: skip
LOCAL = dataclasses.replace(DENSE.attention, mask=Causal() & Segments() & SlidingWindow(3), positions=Rope(10.0))
RELATIVE = dataclasses.replace(DENSE, attention=Attention(2, mask=Causal() & Segments(), positions=T5Bias(8, 16)))
ROUTED = dataclasses.replace(
    DENSE, feedforward=MoE(4, 2, GatedMLP(8), shared=MLP(8), balance=BalanceLoss(0.1), z_loss=0.1)
)
BOTH = EncoderDecoderConfig(
    encoder=dataclasses.replace(
        RELATIVE, layers=2, attention=Attention(2, mask=Segments(), positions=T5Bias(8, 16, bidirectional=True))
    ),
    decoder=RELATIVE,
    cross=CrossAttention(2),
)
# What is computed, and where; of the many, those that are quick to compile run by default.
CASES: dict[str, tuple[ModelSpec, Combined]] = {
    "2 stages": (dataclasses.replace(DENSE, layers=2), Combined(stage=2, fsdp=2, tensor=2, micro=4)),
    "4 stages": (dataclasses.replace(DENSE, remat="full"), Combined(stage=4, micro=8)),
    "both": (BOTH, Combined(data=2, stage=2, fsdp=2)),
    "4 stages, 4 micro": (DENSE, Combined(stage=4)),
    "8 stages": (dataclasses.replace(DENSE, layers=8), Combined(stage=8, fsdp=1)),
    "8 stages, 16 micro": (dataclasses.replace(DENSE, layers=8), Combined(stage=8, fsdp=1, micro=16)),
    "data and context": (DENSE, Combined(data=2, stage=2, fsdp=1, context=2)),
    "period": (
        dataclasses.replace(DENSE, attention=Interleaved((LOCAL, DENSE.attention)), layers=8), Combined(stage=4)
    ),
    "circular": (dataclasses.replace(DENSE, layers=8), Combined(stage=4, repeats=2)),
    "circular, twice the micro": (dataclasses.replace(DENSE, remat="full"), Combined(stage=2, repeats=2, micro=4)),
    # One dense block, which all stages compute on rows of their own, and then the loop that is shared.
    "lead": (
        dataclasses.replace(DENSE, feedforward=LeadingFeedForward(1, MLP(20), GatedMLP(12)), layers=5),
        Combined(stage=2, micro=4),
    ),
    "save_qkv": (dataclasses.replace(DENSE, remat="save_qkv_attention"), Combined(stage=2, micro=4)),
    "minimal": (dataclasses.replace(DENSE, remat="minimal"), Combined(stage=2, micro=4)),
    "relative": (RELATIVE, Combined(stage=2, micro=4, tensor=2)),
    "prefix": (
        dataclasses.replace(DENSE, attention=dataclasses.replace(DENSE.attention, mask=Causal() | GivenPrefix())),
        Combined(stage=2),
    ),
}  # fmt: skip
BY_DEFAULT = ("2 stages", "circular, twice the micro")


def batch() -> dict[str, np.ndarray]:
    """Rows of two documents each, and their sources."""
    rng = np.random.default_rng(0)
    cut, place = rng.integers(1, LENGTH, (ROWS, 1)), np.arange(LENGTH)
    segments = (1 + (place >= cut)).astype(np.int32)
    return {
        "inputs": rng.integers(0, VOCAB, (ROWS, LENGTH)).astype(np.int32),
        "targets": rng.integers(0, VOCAB, (ROWS, LENGTH)).astype(np.int32),
        "weights": (rng.random((ROWS, LENGTH)) < 0.7).astype(np.float32),
        "segment_ids": segments,
        "positions": np.where(place >= cut, place - cut, place).astype(np.int32),
        "prefix": (place < cut // 2).astype(np.int32),
        "source": rng.integers(0, VOCAB, (ROWS, SOURCE)).astype(np.int32),
        "source_segment_ids": np.sort(rng.integers(1, 3, (ROWS, SOURCE)), axis=1).astype(np.int32),
    }


def drawn(config: ModelSpec) -> Any:
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: (rng.normal(size=x.shape) * 0.3 + 0.1).astype(np.float32), Blueprint(config).shapes)


def compiled(config: ModelSpec, layout: Layout, key: Any = None) -> tuple[jax.stages.Compiled, Any, Any]:
    """Loss and gradients of a batch: the program, the weights and the batch where they lie."""
    blueprint = Blueprint(config)
    shardings = blueprint.shardings(layout)

    def loss(weights: Any, rows: Any) -> Any:
        found = CrossEntropy().sums(blueprint.model(weights), rows, key)
        return found.loss / found.weight, found.figures

    weights, rows = jax.device_put(drawn(config), shardings), jax.device_put(batch(), layout.batch)
    with active(layout):
        program = jax.jit(
            jax.value_and_grad(loss, has_aux=True), out_shardings=((layout.replicated, layout.replicated), shardings)
        )
        return program.lower(weights, rows).compile(QUICK), weights, rows


@functools.cache
def on_one(config: ModelSpec) -> Any:
    program, weights, rows = compiled(config, DataParallel().on(jax.devices()[:1]))
    return jax.tree.map(np.asarray, program(weights, rows))


def assert_same(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    for (path, one), other in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(wanted), strict=True):
        atol = tolerance * np.abs(other).max()
        np.testing.assert_allclose(np.asarray(one), other, rtol=0, atol=atol, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in BY_DEFAULT)) for n in CASES])
def test_loss_and_gradients_are_those_of_one_device(name: str) -> None:
    config, placement = CASES[name]
    program, weights, rows = compiled(config, placement.on())
    assert "shard_map" in program.as_text(), "not computed as a pipeline"
    found, wanted = program(weights, rows), on_one(config)
    assert_same(found, wanted)
    assert all(np.abs(np.asarray(leaf)).max() > 1e-6 for leaf in jax.tree.leaves(found[1]))


@pytest.mark.parametrize(
    "placement",
    [
        Combined(stage=4, micro=12),
        Combined(data=2, stage=2, fsdp=1, tensor=2),
        Combined(stage=4, micro=4, repeats=2),
        Combined(data=2, stage=2, micro=6, repeats=4),
    ],
)
def test_rows_pass_all_stages_in_order_and_come_home(placement: Combined) -> None:
    layout, layers = placement.on(), 16
    micro = placement.pipeline(8).micro
    rows = 2 * placement.batch_divisor(8)
    rng = np.random.default_rng(2)
    x, tag = rng.normal(size=(rows, 3)), np.arange(rows)
    scale, shift = rng.uniform(0.5, 2, layers), rng.normal(size=layers)

    def stage(arrived: Any, part: Any, offset: Any, micro: Any) -> tuple[Any, Any]:
        x, tag = arrived
        told = jnp.broadcast_to(jnp.float32(micro), (part[0].shape[0],)), part[0] * jnp.mean(tag)
        for i in range(part[0].shape[0]):  # of which no two can change places
            x = x * part[0][i] + part[1][i] + offset
        return (x, tag), told

    def run(x: Any, tag: Any) -> Any:
        schedule = schedule_of(rows, layers)
        assert schedule == Schedule(placement.stage, micro, placement.repeats)
        return pipelined(stage, schedule, (x, tag), (jnp.float32(scale), jnp.float32(shift)), jnp.float32(0.25))

    with active(layout):
        place = [jax.device_put(part, layout.batch) for part in (np.float32(x), np.float32(tag))]
        (found, tags), (numbers, means) = jax.jit(run)(*place)
    wanted = x
    for i in range(layers):
        wanted = wanted * scale[i] + shift[i] + 0.25
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(tags, tag)
    # Told once for each micro-batch and layer, and of ticks without one nothing.
    np.testing.assert_allclose(numbers, np.full(layers, (micro - 1) / 2), rtol=1e-6)
    np.testing.assert_allclose(means, scale * tag.mean(), rtol=1e-5)


def micro_batches_of(placement: Combined) -> list[np.ndarray]:
    """Rows of each micro-batch, of a batch that data, stages and fsdp divide in this order, outermost first."""
    held = placement.micro // placement.stage
    numbers = np.arange(ROWS).reshape(placement.data, placement.stage, placement.fsdp, held, -1)
    return [numbers[:, s, :, j].ravel() for s in range(placement.stage) for j in range(numbers.shape[3])]


@pytest.mark.slow
@pytest.mark.parametrize("dispatch", [None, Capacity(1.0)])
def test_routing_is_the_mean_over_micro_batches(dispatch: Any) -> None:
    config = ROUTED if dispatch is None else dataclasses.replace(
        ROUTED, feedforward=dataclasses.replace(ROUTED.feedforward, dispatch=dispatch)
    )  # fmt: skip
    placement = Combined(data=2, stage=2, fsdp=2, micro=4, repeats=2)
    program, weights, rows = compiled(config, placement.on())
    found = program(weights, rows)
    blueprint = Blueprint(config)

    def loss(weights: Any) -> Any:
        rows = jax.tree.map(jnp.asarray, batch())
        parts = [{name: x[chosen] for name, x in rows.items()} for chosen in micro_batches_of(placement)]
        model = blueprint.model(weights)
        hidden = [model.hidden(part) for part in parts]
        sums = [CrossEntropy().sums(model, part, None) for part in parts]
        # What is minimised of each without what its routers add.
        nll = sum(one.loss - own.loss * one.weight for one, own in zip(sums, hidden, strict=True))
        count = sum(one.weight for one in sums)
        figures = jax.tree.map(lambda *x: sum(x) / len(x) * ROWS * LENGTH, *[one.figures for one in hidden])
        return nll / count + sum(one.loss for one in hidden) / len(hidden), figures

    wanted = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=QUICK)(drawn(config))
    assert_same(found, jax.tree.map(np.asarray, wanted))


# A line of a program: the kind, the shape of what it gives, the devices it joins, and what it was in the model.
COLLECTIVE = re.compile(
    r"= (?P<shape>.+?) (?P<kind>all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute)(?:-start)?\("
)
WITHIN = re.compile(r"replica_groups=(?:\{\{0,1,2,3\},\{4,5,6,7\}\}|\[2,4\]<=\[8\])")


def collectives(program: jax.stages.Compiled, within: str = "") -> list[tuple[str, str, str]]:
    """Kind, shape and line of the collectives whose name in the model has `within`."""
    lines = [line for line in program.as_text().splitlines() if within in line]
    return [(m["kind"], m["shape"].split("{")[0], line) for line in lines if (m := COLLECTIVE.search(line))]


def test_stages_send_activations_and_nothing_else() -> None:
    config = dataclasses.replace(DENSE, layers=2)
    program, _, _ = compiled(config, Combined(stage=2, data=4, fsdp=1).on())
    found = collectives(program)
    # Each device has 2 rows of a micro-batch. On to the next stage, the other way round, and the last ones home.
    sent = sorted(shape for kind, shape, _ in found if kind == "collective-permute")
    assert sent == ["f32[2,8,8]"] * 6 + ["s32[2,8]"] * 4
    assert {kind for kind, _, _ in collectives(program, within="shard_map/while")} == {"collective-permute"}
    # All else are sums of gradients and of the loss, once a step.
    assert {kind for kind, _, _ in found} == {"collective-permute", "all-reduce"}


@pytest.mark.slow
def test_weights_are_gathered_within_a_stage_alone() -> None:
    program, _, _ = compiled(dataclasses.replace(DENSE, layers=2), Combined(stage=2, fsdp=4).on())
    found = collectives(program, within="shard_map/while")
    assert {kind for kind, _, _ in found} >= {"collective-permute", "all-gather"}
    for kind, _, line in found:
        assert kind == "collective-permute" or WITHIN.search(line), line


def test_layers_lie_on_their_stage() -> None:
    config, placement = CASES["2 stages"]
    weights = compiled(config, placement.on())[1]
    query = weights["blocks"]["0"]["attention"]["query"]
    assert query.shape == (2, 8, 4, 2) and query.addressable_shards[0].data.shape == (1, 4, 2, 2)


@pytest.mark.slow
def test_cached_decoding_and_observation_under_stages() -> None:
    config = dataclasses.replace(DENSE, layers=2)
    blueprint, tokens = Blueprint(config), batch()["inputs"]

    def run(weights: Any, tokens: Any) -> Any:
        model = blueprint.model(weights)
        with observing(everything) as seen:
            whole = model(tokens)
        lengths = jnp.full(ROWS, LENGTH - 1)
        first, cache = model.prefill(tokens, lengths, LENGTH)
        return whole, first, model.decode(tokens[:, -1], lengths, cache)[0], dict(seen)

    results = []
    for layout in (DataParallel().on(jax.devices()[:1]), Combined(stage=2, micro=4).on()):
        weights = jax.device_put(drawn(config), blueprint.shardings(layout))
        with active(layout):
            program = jax.jit(run, compiler_options=QUICK)
            results.append(program(weights, jax.device_put(tokens, layout.batch)))
    assert_same(results[1], jax.tree.map(np.asarray, results[0]))


@pytest.mark.slow
def test_each_micro_batch_drops_by_itself() -> None:
    config = dataclasses.replace(DENSE, layers=2, dropout=0.5, residual=StochasticDepth(DENSE.residual, 0.2))
    layout = Combined(stage=2, micro=4).on()
    blueprint = Blueprint(config)
    row = np.tile(batch()["inputs"][:1], (ROWS, 1))

    def stream(weights: Any, tokens: Any, key: Any) -> Any:
        return blueprint.model(weights).hidden({"inputs": tokens}, key).x

    weights = jax.device_put(drawn(config), blueprint.shardings(layout))
    with active(layout):
        program = jax.jit(stream, compiler_options=QUICK)
        one, again, other = (program(weights, row, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(np.asarray(one)[:, -1], axis=0)) == ROWS
    assert not np.allclose(one, other)
