"""What programs that are compiled by the TPU's own compiler send; tests/experiments/test_tpu.py has whole configs."""

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
from train.objective import CrossEntropy
from train.optimizers import AdamW
from train.state import Blueprint, abstract_state
from train.step import compile_step, make_step


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
