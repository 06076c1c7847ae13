"""Statistics of activations by layer, against a forward pass written out block by block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.spec import build, describe
from model.attention import Attention
from model.balance import BalanceLoss
from model.feedforward import MLP, InterleavedFeedForward
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved, Step
from model.moe import MoE
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig
from train.activations import ActivationStatistics, by_layer, measured
from train.hooks import Hook
from train.objective import CausalLM


@pytest.mark.slow
def test_figures_are_those_of_the_layers_one_by_one() -> None:
    attention = Interleaved((Attention(2, mask=Causal() & SlidingWindow(2)), Attention(2)))
    experts = MoE(experts=4, top_k=1, expert=MLP(8), balance=BalanceLoss())
    config = TransformerConfig(
        4, 8, 11, attention, InterleavedFeedForward((MLP(8), experts)), precision=Precision(compute="float32")
    )
    model = DecoderLM(config, nnx.Rngs(0))
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 11, (3, 7)), jnp.int32)
    batch = {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": jnp.ones((3, 6))}
    graph, weights = nnx.split(model)
    found = by_layer(jax.device_get(jax.jit(lambda w, b: measured(graph, CausalLM(), w, b))(weights, batch)))

    names = {key.partition("/")[0] for key in found}
    assert names == {f"{part}_{kind}" for part in ("stream", "attention", "feedforward") for kind in ("rms", "max")} | {
        "attention_entropy", "attention_logit_max", "router_max_load",
    }  # fmt: skip
    step = Step(jnp.broadcast_to(jnp.arange(6), (3, 6)))
    x = model.embedded(batch["inputs"], step.position)
    for layer in range(4):
        structure, stacked = nnx.split(getattr(model.blocks, str(layer % 2)))
        block = nnx.merge(structure, jax.tree.map(lambda leaf, turn=layer // 2: leaf[turn], stacked))
        x, _ = block(x, step, model.positions, None, None)
        stream = np.asarray(x, np.float64)
        assert found[f"stream_rms/layer_{layer:02d}"] == pytest.approx(np.sqrt((stream**2).mean()), rel=1e-5)
        assert found[f"stream_max/layer_{layer:02d}"] == pytest.approx(np.abs(stream).max(), rel=1e-5)
    # Two keys at most: no more than log 2 nats; six: more.
    assert 0 < found["attention_entropy/layer_02"] < np.log(2) < found["attention_entropy/layer_03"] < np.log(6)
    assert 1 <= found["router_max_load/layer_01"] <= 4 and "router_max_load/layer_00" not in found


def test_layers_that_lie_together_come_apart() -> None:
    found = by_layer({"0/a": np.array([1.0, 3.0]), "1/a": np.array([2.0, 4.0]), "4/a": np.array([5.0])})
    assert found == {f"a/layer_{n:02d}": n + 1.0 for n in range(5)}
    assert by_layer({"encoder/0/cross/a": np.array([7.0])}) == {"encoder/cross/a/layer_00": 7.0}


def test_it_is_a_spec() -> None:
    hook = ActivationStatistics()
    hook._programs["x"] = abs
    assert build(describe(hook), Hook) == hook and hash(hook) == hash(ActivationStatistics())
