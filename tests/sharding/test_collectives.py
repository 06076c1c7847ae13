"""A compiled step sends between devices what its placement implies, along the mesh axes that do, and nothing else.

A new placement is a row of `IMPLIED`.
"""

import dataclasses
import functools
import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.experimental import topologies
from jax.sharding import Mesh

from model import decoding, transformer
from model.attention import Attention
from model.feedforward import GatedMLP
from model.masks import Causal, Segments
from model.precision import Precision
from model.transformer import TransformerConfig
from sharding.axes import BATCH, SEQ, active, constrain, ways
from sharding.placement import Layout, Placement
from sharding.placements import Combined, DataParallel, FullySharded, ShardedOptimizer, TensorParallel
from train.objective import CausalLM
from train.optimizers import AdamW
from train.state import Blueprint, abstract_state
from train.step import compile_step, make_step

_spec = importlib.util.spec_from_file_location("collectives", Path(__file__).parent / "collectives.py")
read = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(read)

QUICK = {"xla_backend_optimization_level": 0}
# Whatever has tokens has a multiple of 5 numbers, and no weight has; a device's share of the stream is larger than the
# largest weight.
ROWS, SEQUENCE, EMBED = 64, 20, 32
MODEL = TransformerConfig(
    layers=2, embed=EMBED, vocab=96, precision=Precision(compute="float32"), tie_embeddings=False,
    attention=Attention(4, mask=Causal() & Segments()), feedforward=GatedMLP(64),
)  # fmt: skip
# Hidden weights of both layers, which lie together.
LARGEST = 2 * EMBED * 64
BLUEPRINT = Blueprint(MODEL)

# Gradients are summed where the batch is divided, and so are loss and metrics.
SUMMED = ("all-reduce of weights", "all-reduce of numbers")
# Weights lie in shares, and are gathered for use. XLA's CPU compiler makes no reduce-scatter of gradients.
GATHERED = (*SUMMED, "all-gather of weights")
# Each of a layer's two branches ends in a sum of the stream, and so does the way back through it; logits meet in a
# maximum, a sum and the target's own: numbers a token, not the logits. Norms of gradients are summed.
SHARED = ("all-reduce of the stream", "all-reduce of tokens", "all-reduce of numbers")
IMPLIED: dict[str, tuple[Placement, dict[str, tuple[str, ...]]]] = {
    "data": (DataParallel(), {"data": SUMMED}),
    "fsdp": (FullySharded(), {"fsdp": GATHERED}),
    "replicas": (FullySharded(data=2), {"data": SUMMED, "fsdp": GATHERED}),
    "tensor": (TensorParallel(data=2, fsdp=1, tensor=4), {"data": SUMMED, "tensor": SHARED}),
    "combined": (Combined(data=2, fsdp=2, tensor=2), {"data": SUMMED, "fsdp": GATHERED, "tensor": SHARED}),
    "slices": (Combined(slices=2), {"slice": SUMMED, "fsdp": GATHERED}),
    "slices of all": (Combined(slices=2, fsdp=2, tensor=2), {"slice": SUMMED, "fsdp": GATHERED, "tensor": SHARED}),
    "optimizer": (ShardedOptimizer(), {"data": GATHERED}),
    "optimizer over slices": (ShardedOptimizer(slices=2, data=1, fsdp=4), {"slice": GATHERED, "fsdp": GATHERED}),
}  # fmt: skip
LONG = ("replicas", "tensor", "combined", "slices", "optimizer over slices")


def compiled(placement: Placement, blueprint: Blueprint = BLUEPRINT, **on: Any) -> tuple[str, Layout]:
    """The text of a step of `placement.on(**on)`."""
    layout = placement.on(**on)
    optimizer = AdamW().transform(optax.constant_schedule(0.1), blueprint.table)
    kinds = {"inputs": jnp.int32, "targets": jnp.int32, "weights": jnp.float32, "segment_ids": jnp.int32}
    batch = {
        key: jax.ShapeDtypeStruct((ROWS, SEQUENCE), kind, sharding=layout.batch) for key, kind in kinds.items()
    }
    step = make_step(blueprint, CausalLM(1e-2), optimizer, optax.constant_schedule(0.1), seed=0)
    state, options = abstract_state(blueprint, optimizer, layout), QUICK if layout.platform == "cpu" else None
    return compile_step(step, state, batch, layout, options).as_text(), layout


def what(size: int, layout: Layout) -> str:
    """What so many numbers are."""
    with active(layout):
        tokens = ROWS * SEQUENCE // ways(BATCH) // ways(SEQ)
    if size % 5 == 0:
        names = {1: "tokens", EMBED: "the stream"}
        return names.get(size // tokens, f"activations of {size}") if size % tokens == 0 else f"activations of {size}"
    return "numbers" if size == 1 else "weights" if size <= LARGEST else f"something of {size}"


def sent(text: str, layout: Layout) -> set[str]:
    """Each kind of thing that is sent, along each axis."""
    return {
        f"{one.kind} of {what(one.size, layout)} over {axis}"
        for one in read.collectives(text, layout.mesh) for axis in one.axes
    }  # fmt: skip


@functools.cache
def program(name: str) -> tuple[str, Layout]:
    return compiled(IMPLIED[name][0])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in IMPLIED]
)
def test_program_sends_what_the_placement_implies(name: str) -> None:
    text, layout = program(name)
    wanted = {f"{thing} over {axis}" for axis, things in IMPLIED[name][1].items() for thing in things}
    assert sent(text, layout) == wanted, "\n".join(read.counted(read.collectives(text, layout.mesh)))


def test_gradients_are_summed_once() -> None:
    text, layout = program("data")
    sizes = [one.size for one in read.collectives(text, layout.mesh) if one.size > 1]
    assert sum(sizes) == BLUEPRINT.count()


@pytest.mark.parametrize(("name", "parts"), [("data", 1), ("optimizer", 8)])
def test_updates_are_computed_where_moments_lie(name: str, parts: int) -> None:
    """AdamW takes a square root for each weight, and nothing else here does."""
    roots = re.findall(r" = f32\[([\d,]+)\]\S* sqrt\(", program(name)[0])
    assert sum(math.prod(map(int, dims.split(","))) for dims in roots) == BLUEPRINT.count() // parts


def test_between_slices_go_shares_of_gradients() -> None:
    text, layout = program("slices of all")
    across = [one for one in read.collectives(text, layout.mesh) if "slice" in one.axes]
    # The embedding's and the norms' gradients are summed whole over all that divides the batch; the others lie in
    # shares of a fourth by then.
    whole = 96 * EMBED // 2 + 5 * EMBED
    rest = BLUEPRINT.count() - 96 * EMBED - 5 * EMBED
    assert sum(one.size for one in across if one.size > 1) == rest // 4 + whole
    assert len([one for one in across if one.size == 1]) <= 6


def test_decoding_leaves_the_cache_where_it_lies() -> None:
    """Each branch of a layer sends its sum, of two prompts of 32 or of a token of each; the best of each half of the
    vocabulary are compared, and the tokens made are gathered once."""
    layout, new = TensorParallel(data=4, fsdp=1, tensor=2).on(), 8
    weights = jax.tree.map(
        lambda leaf, place: jax.device_put(np.zeros(leaf.shape, leaf.dtype), place),
        BLUEPRINT.shapes, BLUEPRINT.shardings(layout),
    )  # fmt: skip
    prompts, lengths = jnp.zeros((8, 32), jnp.int32), jnp.full(8, 5, jnp.int32)
    parts = nnx.split(BLUEPRINT.model(weights))
    with active(layout):
        lowered = decoding._generate.lower(*parts, prompts, lengths, (), jax.random.key(0), decoding.Greedy(), new)
        found = read.collectives(lowered.compile(QUICK).as_text(), layout.mesh)
    assert {one.size for one in found if one.kind == "all-reduce"} == {2 * 32 * EMBED, 2 * EMBED}
    assert {(one.kind, one.size) for one in found if one.kind != "all-reduce"} == {
        ("all-gather", 2 * 2), ("all-gather", 8 * new),
    }  # fmt: skip


@pytest.mark.slow
def test_between_slices_of_tpus_go_shares_of_gradients() -> None:
    """There the data-centre network has instructions of its own: send and recv."""
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2", num_slices=2).devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    model = dataclasses.replace(MODEL, embed=256, vocab=512, attention=Attention(2), feedforward=GatedMLP(512))
    text, layout = compiled(Combined(slices=2), Blueprint(model), devices=devices)
    assert dict(layout.mesh.shape) == {"slice": 2, "fsdp": 4}
    assert not [one for one in read.collectives(text, layout.mesh) if "slice" in one.axes]
    sizes = [math.prod(map(int, dims.split(","))) for dims in re.findall(r" = \(\w+\[([\d,]+)\].* send\(", text)]
    # A fourth of the embedding is the largest of a device's gradients, and the smallest of its activations is larger.
    assert max(sizes) == 512 * 256 // 4 < ROWS * SEQUENCE * 256 // 8
    print(f"{len(sizes)} sent between slices, of up to {max(sizes)} numbers")


def test_gather_of_activations_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that ask for whole rows of the whole batch, as a forgotten rule would."""
    monkeypatch.setattr(transformer, "constrain", lambda x, *axes: constrain(x, *(None for _ in axes)))
    text, layout = compiled(DataParallel())
    found = {thing for thing in sent(text, layout) if "activations" in thing}
    assert f"all-gather of activations of {ROWS * SEQUENCE * EMBED} over data" in found


@pytest.mark.parametrize(
    ("line", "kind", "axes", "size"),
    [
        ("%a = f32[6,4]{1,0} all-gather(%x), replica_groups=[4,2]<=[8], dimensions={0}", "all-gather", "z", 24),
        ("%a = f32[6,4] all-reduce(%x), replica_groups=[2,4]<=[2,2,2]T(1,0,2), to_apply=%f", "all-reduce", "xz", 24),
        ("%a = (f32[6], s32[]) all-reduce-start(%x), replica_groups={{0,4},{1,5},{2,6},{3,7}}", "all-reduce", "x", 6),
        ("ROOT %a = bf16[3]{0} reduce-scatter(%x), replica_groups=[1,8]<=[8]", "reduce-scatter", "xyz", 24),
        ("%a = f32[5] collective-permute(%x), source_target_pairs={{0,2},{2,0},{4,6},{6,4}}", "collective-permute",
         "y", 5),
        ("%a = f32[5] all-gather(%x), replica_groups=mesh['a'=4,'b'=2] {'a'}, dimensions={0}", "all-gather", "xy", 5),
        ("%a = f32[5] all-gather(%x), replica_groups=mesh['a'=4,'b'=2] {'a':(1)2}", "all-gather", "x", 5),
        ("%a = f32[5] all-gather(%x), replica_groups=mesh['a'=4,'b'=2] {'a':(2)2,'b'}", "all-gather", "yz", 5),
        ("%a = f32[5] all-to-all(%x), replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}", "all-to-all",
         "x", 5),
        ("%a = f32[5] all-reduce(%x), replica_groups={}, to_apply=%f", "all-reduce", "xyz", 5),
    ],
)  # fmt: skip
def test_collectives_are_read(line: str, kind: str, axes: str, size: int) -> None:
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2, 2), tuple("xyz"))
    found = read.collectives(f"HloModule m\n  {line}\n  %b = f32[6] add(%a, %a)", mesh)
    assert found[0] == read.Collective(kind, tuple(axes), size)


def test_groups_of_one_device_send_nothing() -> None:
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("x", "y"))
    assert read.collectives("%a = f32[5] all-reduce(%x), replica_groups=[8,1]<=[8]", mesh) == []
