"""Rematerialisation changes what is computed again, and no number."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import topologies

from model.attention import Attention
from model.feedforward import MLP
from model.kernels import Dense
from model.positions import NoPositions
from model.precision import Precision
from model.remat import POLICIES
from model.splash_kernel import KEPT
from model.transformer import DecoderLM, TransformerConfig
from sharding.axes import active
from sharding.placements import DataParallel
from train.state import Blueprint

# Little is computed here and much is compiled.
QUICK = {"xla_backend_optimization_level": 0}


def test_rematerialisation_changes_work_but_no_number(make_model) -> None:
    config = TransformerConfig(
        layers=2, embed=8, vocab=11, precision=Precision(compute="float32"),
        attention=Attention(2, positions=NoPositions(), kernel=Dense()), feedforward=MLP(16, "relu"),
    )  # fmt: skip
    weights = nnx.to_pure_dict(nnx.state(make_model(config)[0], nnx.Param))
    tokens = jnp.arange(12).reshape(2, 6) % 11
    found, flops = {}, {}
    for name in POLICIES:
        model, _ = make_model(dataclasses.replace(config, remat=name), weights)

        def loss(model: DecoderLM) -> jax.Array:
            return jnp.mean(jax.nn.logsumexp(model(tokens), -1) ** 2)

        compiled = jax.jit(jax.value_and_grad(loss)).lower(model).compile(QUICK)
        found[name] = compiled(model)
        flops[name] = compiled.cost_analysis()["flops"]
    expected, gradient = found.pop("none")
    for name, (value, again) in found.items():
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(gradient), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max(), err_msg=name)
    assert flops["full"] > flops["save_qkv"] > flops["save_qkv_attention"] > flops["none"]
    assert flops["full"] > flops["save_attention"] > flops["save_qkv_attention"]
    assert flops["full"] > flops["minimal"] > flops["none"]
    assert flops["save_qkv_attention"] > flops["save_products"] > flops["none"]
    # On the host or not, what is kept need not be computed again.
    assert flops["full"] > flops["offload_attention"] > flops["offload_qkv_attention"] > flops["none"]


@pytest.mark.slow
def test_a_tpu_computes_attention_once_where_it_is_kept() -> None:
    """The splash kernel is called forward and backward; and once more where its output is not kept."""
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    assert KEPT == "splash"
    layout, calls = DataParallel().on(devices), {}
    for name in ("full", "save_attention"):
        config = TransformerConfig(2, 256, 512, Attention(2), MLP(512), precision=Precision(), remat=name)
        blueprint = Blueprint(config)

        def gradient(weights: nnx.State, tokens: jax.Array, blueprint: Blueprint = blueprint) -> nnx.State:
            return jax.grad(lambda w: jnp.mean(jax.nn.logsumexp(blueprint.model(w)(tokens), -1) ** 2))(weights)

        weights = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout.replicated), blueprint.shapes
        )
        tokens = jax.ShapeDtypeStruct((4, 1024), jnp.int32, sharding=layout.batch)
        with active(layout):
            text = jax.jit(gradient).lower(weights, tokens).compile().as_text()
        calls[name] = text.count('custom_call_target="tpu_custom_call"')
    assert calls == {"full": 3, "save_attention": 2}


@pytest.mark.slow
def test_a_tpu_keeps_on_the_host_what_is_offloaded() -> None:
    """The stream before each block, and the output of its attention: bfloat16 of a device's share of the batch."""
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    layout, layers, embed, rows, seq = DataParallel().on(devices), 6, 256, 32, 1024
    host, device = {}, {}
    for name in ("full", "offload_stream", "offload_attention"):
        config = TransformerConfig(layers, embed, 512, Attention(2), MLP(512), precision=Precision(), remat=name)
        blueprint = Blueprint(config)

        def gradient(weights: nnx.State, tokens: jax.Array, blueprint: Blueprint = blueprint) -> nnx.State:
            return jax.grad(lambda w: jnp.mean(jax.nn.logsumexp(blueprint.model(w)(tokens), -1) ** 2))(weights)

        weights = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout.replicated), blueprint.shapes
        )
        tokens = jax.ShapeDtypeStruct((rows, seq), jnp.int32, sharding=layout.batch)
        with active(layout):
            memory = jax.jit(gradient).lower(weights, tokens).compile().memory_analysis()
        host[name], device[name] = memory.host_temp_size_in_bytes, memory.temp_size_in_bytes
    stream = layers * rows // len(devices) * seq * embed * 2
    assert host["full"] == 0 and host["offload_stream"] == pytest.approx(stream, rel=0.05)
    # The kernel keeps its output once more, and a float32 a query and head.
    assert 2 * stream <= host["offload_attention"] <= 3.5 * stream
    # Not less on the device: buffers on the way cost more than these six layers would keep there.
    print({name: f"{host[name]} bytes on the host, {device[name]} on the device" for name in host})
