"""What a device holds, against the sizes of the arrays that really lie there."""

import jax
import numpy as np
import optax
import pytest

from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from sharding.placements import DataParallel, FullySharded
from train.feed import abstract_batch
from train.memory import Memory, memory_of
from train.objective import CausalLM
from train.state import Blueprint, abstract_state, fresh_state
from train.step import compile_step, lower_step, make_step

CONFIG = TransformerConfig(2, 16, 64, Attention(2), MLP(32), precision=Precision(compute="float32"))


@pytest.mark.parametrize("placement", [DataParallel(), FullySharded()])
def test_categories_are_those_of_the_arrays(placement) -> None:
    from data.targets import Field

    layout = placement.on(jax.devices()[:4])
    blueprint, optimizer = Blueprint(CONFIG), optax.adam(0.1)
    abstract = abstract_state(blueprint, optimizer, layout)
    rows = abstract_batch(
        {"inputs": Field((8,), np.dtype(np.int32)), "targets": Field((8,), np.dtype(np.int32)),
         "weights": Field((8,), np.dtype(np.float32))}, 4, layout,
    )  # fmt: skip
    step = make_step(blueprint, CausalLM(), optimizer, lambda step: 0.1, seed=0)
    memory = memory_of(compile_step(step, abstract, rows, layout), abstract, rows)

    first = jax.devices()[0]
    state = fresh_state(blueprint, optimizer, layout, 0)

    def lying(tree) -> int:
        shards = [shard for leaf in jax.tree.leaves(tree) for shard in leaf.addressable_shards]
        return sum(shard.data.nbytes for shard in shards if shard.device == first)

    assert memory.weights == lying(state.weights) and memory.optimizer == lying(state.optimizer)
    # Adam keeps two numbers a weight, and a count.
    assert memory.optimizer == 2 * memory.weights + 4
    # A row of 8 tokens: two int32 and a float32 each.
    assert memory.batch == 8 * 12 and memory.objective == 0
    assert memory.temporary > 0 and (memory.peak is None or memory.peak > memory.weights)


def test_a_step_on_one_cpu_holds_less_than_xla_would_have_it() -> None:
    from data.targets import NextToken

    model = TransformerConfig(8, 64, 256, Attention(2), MLP(256), precision=Precision(compute="float32"))
    layout = DataParallel().on(jax.devices()[:1])
    blueprint, optimizer = Blueprint(model), optax.adam(0.1)
    abstract = abstract_state(blueprint, optimizer, layout)
    rows = abstract_batch(NextToken().fields(512), 1, layout)
    step = make_step(blueprint, CausalLM(), optimizer, lambda step: 0.1, seed=0)
    quick = {"xla_backend_optimization_level": 0}
    lean = compile_step(step, abstract, rows, layout, quick).memory_analysis()
    plain = lower_step(step, abstract, rows, layout).compile(quick).memory_analysis()
    assert lean.temp_size_in_bytes < 0.9 * plain.temp_size_in_bytes
    assert lean.argument_size_in_bytes == plain.argument_size_in_bytes


def test_it_is_told() -> None:
    memory = Memory(3 * 2**20, 3 * 2**30, 0, 2**19, 2**20, None)
    assert str(memory) == "weights 3.0 MiB, optimizer 3.00 GiB, batch 0.5 MiB, temporary 1.0 MiB a device"
    assert str(Memory(2**20, 0, 0, 0, 0, 2**21)) == "weights 1.0 MiB a device; at most 2.0 MiB at once"
    assert memory.figures()["perf/memory_optimizer_bytes"] == 3 * 2**30
    assert "perf/memory_peak_bytes" not in memory.figures()
