"""The configs that ship, compiled by the TPU's own compiler for the pods they name.

One takes a minute or two on two cores, which most of them are given only on request: ESPALIER_LONG=1.
"""

import math
import os
import re

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.experimental import topologies

from model.attention import Attention
from model.feedforward import GatedMLP
from model.masks import Causal, Segments
from model.transformer import TransformerConfig
from sharding.placements import Combined
from train.feed import abstract_batch
from train.load import load_experiment
from train.objective import CrossEntropy
from train.optimizers import AdamW
from train.state import Blueprint, abstract_state
from train.step import compile_step, make_step

GIB = 2**30
# HBM of one chip, as Cloud TPU's documentation states it.
HBM = {"v5e": 16 * GIB, "v5p": 95 * GIB, "v6e": 32 * GIB}
LONG = pytest.mark.skipif("ESPALIER_LONG" not in os.environ, reason="takes minutes; ESPALIER_LONG=1 runs it")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "topology"),
    [
        ("gpt2_124m", "v5e:4x4"),
        ("llama2_7b", "v5e:16x16"),
        pytest.param("llama3_8b", "v5p:8x8x4", marks=LONG),
        pytest.param("llama3_1_8b", "v6e:16x16", marks=LONG),
        pytest.param("llama3_1_8b:v5e", "v5e:16x16", marks=LONG),
        pytest.param("llama3_1_70b", "v6e:16x16", marks=LONG),
        pytest.param("llama3_1_70b:v5p", "v5p:8x8x8", marks=LONG),
        pytest.param("llama3_1_405b", "v5p:8x16x16", marks=LONG),
        pytest.param("llama3_1_8b_1m", "v5p:8x8x8", marks=LONG),
        pytest.param("mixtral_8x7b", "v5p:4x4x4", marks=LONG),
        pytest.param("deepseek_v3", "v5p:8x8x8", marks=LONG),
        pytest.param("gemma3_27b", "v6e:16x16", marks=LONG),
        pytest.param("t5_xxl", "v5e:16x16", marks=LONG),
    ],
)
def test_config_fits_its_pod(name: str, topology: str) -> None:
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    experiment, _ = load_experiment(name)
    layout = experiment.placement.on(devices)
    experiment.divided_by(experiment.placement.batch_divisor(layout.mesh.size))
    blueprint = Blueprint(experiment.model)
    schedule = experiment.schedule.over(experiment.steps)
    optimizer = experiment.optimizer.transform(schedule, blueprint.table)
    state = abstract_state(blueprint, optimizer, layout)
    batch = experiment.batch
    step = make_step(
        blueprint, experiment.objective, optimizer, schedule, seed=0, accumulate=batch.accumulate
    )
    rows = abstract_batch(batch.form.fields, batch.batch, layout)
    memory = compile_step(step, state, rows, layout).memory_analysis()
    used = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    used += memory.output_size_in_bytes - memory.alias_size_in_bytes
    if isinstance(experiment.optimizer, AdamW):
        # Weights and both moments in float32, over all chips that are no replicas; and the rows of a step.
        split = layout.mesh.size // layout.mesh.shape.get("data", 1)
        read = sum(math.prod(row.sharding.shard_shape(row.shape)) * row.dtype.itemsize for row in rows.values())
        assert memory.argument_size_in_bytes == pytest.approx(12 * blueprint.count() / split + read, rel=0.1)
    assert used < HBM[topology.split(":")[0]], f"{used / GIB:.1f} GiB a chip"
    print(f"{name} on {topology}: {used / GIB:.2f} GiB a chip")


@pytest.mark.slow
def test_stages_of_a_pipeline_send_activations_and_their_layers_once() -> None:
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    mask = Causal() & Segments()
    config = TransformerConfig(8, 256, 512, Attention(2, mask=mask), GatedMLP(256), remat="full")
    layout = Combined(data=2, stage=4, fsdp=1, repeats=2).on(devices)
    blueprint = Blueprint(config)
    optimizer = AdamW().transform(optax.constant_schedule(0.1), blueprint.table)
    step = make_step(blueprint, CrossEntropy(), optimizer, optax.constant_schedule(0.1), seed=0)
    rows = {
        name: jax.ShapeDtypeStruct((16, 256), jnp.float32 if name == "weights" else jnp.int32, sharding=layout.batch)
        for name in ("inputs", "targets", "weights", "segment_ids", "positions")
    }
    text = compile_step(step, abstract_state(blueprint, optimizer, layout), rows, layout).as_text()
    kinds = set(re.findall(r" (all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute)(?:-start)?\(", text))
    assert kinds == {"collective-permute", "all-reduce"}
    # The kernel of attention runs within the pipeline too, in a computation of one device.
    assert "custom_call_target=\"tpu_custom_call\"" in text
    summed = [line for line in text.splitlines() if " all-reduce(" in line or " all-reduce-start(" in line]
    assert not [line for line in summed if "shard_map/while" in line], "gradients are summed at every tick"
