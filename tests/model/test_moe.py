"""Mixtures of experts against NumPy float64, the reference implementations, and their own full forward pass."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.balance import BalanceBias, BalanceLoss
from model.dispatch import Capacity, Everyone
from model.feedforward import (
    MLP,
    ClampedSwiGLU,
    FeedForwardPlan,
    GatedMLP,
    InterleavedFeedForward,
    LeadingFeedForward,
)
from model.moe import MoE
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.positions import Rope
from model.precision import Precision
from model.router import Router, Sigmoid, Softmax, SoftmaxOfChosen
from model.transformer import DecoderLM, TransformerConfig
from train.state import Blueprint
from train.weights import is_matrix

QUICK = {"xla_backend_optimization_level": 0}
SIZES = Sizes(embed=8, layers=2, dropout=0.0, parametrization=Standard(0.5), precision=Precision(compute="float32"))
X = np.random.default_rng(0).normal(size=(2, 6, 8)).astype(np.float32)
# Of each family: router, shape of the experts, shared layer.
GPT_OSS = MoE(4, 2, ClampedSwiGLU(6, bias=True), router=SoftmaxOfChosen())
MIXTRAL = MoE(4, 2, GatedMLP(6))
QWEN = MoE(5, 3, GatedMLP(6), router=Softmax(normalise=False))
DEEPSEEK = MoE(
    8, 3, GatedMLP(5), router=Sigmoid(4, 2, scale=2.5), shared=GatedMLP(10), balance=BalanceBias()
)
SWITCH = MoE(3, 1, MLP(12, "relu"), router=Softmax(normalise=False))
FAMILIES = {
    "gpt-oss": GPT_OSS, "Mixtral": MIXTRAL, "Qwen3-MoE": QWEN, "DeepSeek-V3": DEEPSEEK, "Switch": SWITCH,
}  # fmt: skip


def randomised(spec: MoE, sizes: Sizes = SIZES) -> tuple[nnx.Module, dict[str, np.ndarray]]:
    """A layer whose weights and biases are of order one, and they in float64 by `part.name`."""
    graph, state = nnx.split(nnx.eval_shape(lambda: spec.build(sizes, nnx.Rngs(0))))
    rng = np.random.default_rng(4)
    state = jax.tree.map(lambda w: jnp.asarray(0.6 * rng.normal(size=w.shape), w.dtype), state)
    flat = nnx.to_flat_state(state)
    wide = {".".join(map(str, path)): np.asarray(value[...], np.float64) for path, value in flat}
    return nnx.merge(graph, state), wide


@functools.partial(jax.jit, compiler_options=QUICK)
def routed(layer: nnx.Module, x: Any) -> Any:
    return layer.routed(x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def expert(spec: Any, w: dict[str, np.ndarray], e: Any, x: np.ndarray) -> np.ndarray:
    """One expert (or, with e = ..., a layer that is not stacked) on one token."""
    up = x @ w["up"][e] + (w["up_bias"][e] if "up_bias" in w else 0)
    if isinstance(spec, ClampedSwiGLU):
        gate = np.minimum(x @ w["gate"][e] + w["gate_bias"][e], 7.0)
        hidden = gate * sigmoid(1.702 * gate) * (np.clip(up, -7, 7) + 1)
    elif isinstance(spec, GatedMLP):
        gate = x @ w["gate"][e]
        hidden = gate * sigmoid(gate) * up
    else:
        hidden = np.maximum(up, 0)
    return hidden @ w["down"][e] + (w["down_bias"][e] if "down_bias" in w else 0)


def part(w: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {k.split(".")[1]: v for k, v in w.items() if k.startswith(f"{name}.")}


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_their_formulas(family: str) -> None:
    spec = FAMILIES[family]
    layer, w = randomised(spec)
    y, routing = routed(layer, X)
    router, count = part(w, "router"), np.zeros(spec.experts)
    logits = X.astype(np.float64) @ router["weight"] + router.get("bias", 0)
    correction = w.get("balance_bias")
    choice = spec.router.choose(
        jnp.asarray(logits, jnp.float32), spec.top_k,
        None if correction is None else jnp.asarray(correction, jnp.float32),
    )  # fmt: skip
    wanted = np.zeros(X.shape)
    for row, place in np.ndindex(2, 6):
        x = X[row, place].astype(np.float64)
        for e, share in zip(choice.experts[row, place], choice.weights[row, place], strict=True):
            wanted[row, place] += float(share) * expert(spec.expert, part(w, "experts"), int(e), x)
            count[int(e)] += 1
        if spec.shared is not None:
            wanted[row, place] += expert(spec.shared, part(w, "shared"), ..., x)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)

    p = np.asarray(spec.router.probabilities(jnp.asarray(logits, jnp.float32)), np.float64)
    np.testing.assert_allclose(routing.figures["load"], count / count.sum(), rtol=1e-6)
    assert float(routing.figures["entropy"]) == pytest.approx(-(p * np.log(p)).sum(-1).mean(), rel=1e-5)
    square = np.log(np.exp(logits).sum(-1)) ** 2
    assert float(routing.figures["z"]) == pytest.approx(square.mean(), rel=1e-5)
    assert float(routing.loss) == 0 == float(routing.figures["dropped"])


def test_losses_are_those_of_the_papers() -> None:
    """Switch, eqs. 4 to 6, DeepSeek-V3, eqs. 17 to 20, and ST-MoE, eq. 5, in NumPy."""
    spec = MoE(4, 2, MLP(3), balance=BalanceLoss(0.5), z_loss=0.25)
    layer, w = randomised(spec)
    _, routing = routed(layer, X)
    logits = X.astype(np.float64) @ w["router.weight"]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.argsort(-logits, -1)[..., :2]
    picked = np.stack([(chosen == e).any(-1) for e in range(4)], -1)
    share = picked.mean((0, 1)) / 2
    z = np.square(np.log(np.exp(logits).sum(-1))).mean()
    wanted = 0.5 * 4 * (share * p.mean((0, 1))).sum() + 0.25 * z
    assert float(routing.loss) == pytest.approx(wanted, rel=1e-5)

    spec = MoE(4, 2, MLP(3), router=Sigmoid(), balance=BalanceBias(weight=0.5))
    layer, w = randomised(spec)
    _, routing = routed(layer, X)
    s = sigmoid(X.astype(np.float64) @ w["router.weight"])
    chosen = np.argsort(-(s + w["balance_bias"]), -1)[..., :2]
    picked = np.stack([(chosen == e).any(-1) for e in range(4)], -1)
    rows = [
        sum(4 / (2 * 6) * picked[r, :, e].sum() * (s[r, :, e] / s[r].sum(-1)).mean() for e in range(4))
        for r in range(2)
    ]
    assert float(routing.loss) == pytest.approx(0.5 * np.mean(rows), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_counted_and_named(family: str) -> None:
    spec = FAMILIES[family]
    state = nnx.state(nnx.eval_shape(lambda: spec.build(SIZES, nnx.Rngs(0))), nnx.Param)
    sizes = {path: variable.shape for path, variable in nnx.to_flat_state(state)}
    total = {path: int(np.prod(shape)) for path, shape in sizes.items()}
    experts = sum(n for path, n in total.items() if path[0] == "experts")
    others = sum(n for path, n in total.items() if path[0] != "experts")
    active = others + experts // spec.experts * spec.top_k
    vectors = sum(n for path, n in total.items() if "bias" in path[-1] and path[0] != "experts")
    biases = sum(n for path, n in total.items() if "bias" in path[-1] and path[0] == "experts")
    assert spec.weight_count(8) == sum(total.values())
    assert spec.active_weight_count(8) == active
    assert spec.matmul_weights(8) == active - vectors - biases // spec.experts * spec.top_k
    axes = logical_axes(state)
    assert axes["experts", "up"] == ("experts", "embed", "mlp")
    assert axes["experts", "down"] == ("experts", "mlp", "embed")
    assert sizes["experts", "up"] == (spec.experts, 8, spec.expert.hidden)
    assert {path for path, a in axes.items() if not is_matrix(a)} == {p for p in total if "bias" in p[-1]}


def test_a_model_is_counted_and_its_layers_are_stacked() -> None:
    config = decoder(LeadingFeedForward(1, GatedMLP(12), DEEPSEEK), layers=3)
    blueprint = Blueprint(config)
    attention = 4 * 16 * 16 + 2 * 16
    wanted = 3 * attention + 3 * 16 * 12 + 2 * DEEPSEEK.weight_count(16) + 23 * 16 + 16
    assert blueprint.count() == wanted
    assert blueprint.shapes["blocks"]["1"]["feedforward"]["experts"]["up"].shape == (2, 8, 16, 5)
    names = blueprint.axes["blocks"]["1"]["feedforward"]
    assert names["experts"]["up"].axes == ("layers", "experts", "embed", "mlp")
    # By hand: router, three experts and the shared one, in two layers; and what is dense.
    met = 2 * (16 * 8 + (3 * 5 + 10) * 3 * 16) + 3 * 16 * 12 + 3 * 4 * 16 * 16 + 16 * 23
    attended = 3 * 6 * 2 * 16 * (8 + 1) / 2
    assert config.flops_per_token(8) == pytest.approx(6 * met + attended)


def decoder(plan: FeedForwardPlan, layers: int = 2) -> TransformerConfig:
    return TransformerConfig(
        layers=layers, embed=16, vocab=23, attention=Attention(4, positions=Rope(50.0)),
        feedforward=plan, precision=Precision(compute="float32"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "plan", [
        LeadingFeedForward(1, GatedMLP(12), DEEPSEEK),
        pytest.param(InterleavedFeedForward((GatedMLP(12), GPT_OSS)), marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_decoding_is_the_full_forward_pass(plan: FeedForwardPlan, make_model) -> None:
    """Dense and routed blocks in one stack; prompts of several lengths, one token at a time after them."""
    model, _ = make_model(decoder(plan, 4))
    tokens = jnp.asarray(np.random.default_rng(1).integers(0, 23, (3, 10)))
    full = jax.jit(lambda m, t: m.outputs(t), compiler_options=QUICK)(model, tokens)
    lengths = jnp.array([4, 1, 6])
    read = jax.jit(DecoderLM.prefill, static_argnums=3, compiler_options=QUICK)
    step = jax.jit(DecoderLM.decode, compiler_options=QUICK)
    rows = jnp.arange(3)
    logits, cache = read(model, jnp.where(jnp.arange(6) < lengths[:, None], tokens[:, :6], 0), lengths, 10)
    for _ in range(4):
        np.testing.assert_allclose(logits, full.logits[rows, lengths - 1], atol=2e-5, rtol=1e-5)
        logits, cache = step(model, tokens[rows, lengths], lengths, cache)
        lengths = lengths + 1
    assert all(figures.shape[0] in (1, 2, 3) for figures in full.figures.values())
    assert {key.split("/")[1] for key in full.figures} == {"load", "entropy", "z", "dropped"}


def test_bfloat16_stays_bfloat16() -> None:
    sizes = Sizes(8, layers=2, dropout=0.0, parametrization=Standard(0.5), precision=Precision(weights="bfloat16"))
    for way in (Everyone(), Capacity(4.0), DEEPSEEK.dispatch):
        layer, _ = randomised(MoE(4, 2, GatedMLP(6), dispatch=way, balance=BalanceBias()), sizes)
        y, routing = routed(layer, jnp.asarray(X, jnp.bfloat16))
        assert y.dtype == jnp.bfloat16 and routing.loss.dtype == jnp.float32
        assert layer.balance_bias[...].dtype == jnp.float32


def _torch_layer(family: str) -> tuple[Any, Any]:
    """The reference implementation's layer with random weights, and a function from input to output."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    models = transformers.models
    common = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    make = {
        "Mixtral": lambda: models.mixtral.modeling_mixtral.MixtralSparseMoeBlock(
            transformers.MixtralConfig(**common, intermediate_size=6, num_local_experts=4, num_experts_per_tok=2)
        ),
        "Qwen3-MoE": lambda: models.qwen3_moe.modeling_qwen3_moe.Qwen3MoeSparseMoeBlock(
            transformers.Qwen3MoeConfig(
                **common, moe_intermediate_size=6, num_experts=5, num_experts_per_tok=3, norm_topk_prob=False
            )
        ),
        "DeepSeek-V3": lambda: models.deepseek_v3.modeling_deepseek_v3.DeepseekV3MoE(
            transformers.DeepseekV3Config(
                **common, moe_intermediate_size=5, n_routed_experts=8, num_local_experts=8, num_experts_per_tok=3,
                n_group=4, topk_group=2, n_shared_experts=2, routed_scaling_factor=2.5, norm_topk_prob=True,
            )
        ),
        "gpt-oss": lambda: models.gpt_oss.modeling_gpt_oss.GptOssMLP(
            transformers.GptOssConfig(**common, intermediate_size=6, num_local_experts=4, num_experts_per_tok=2)
        ),
    }[family]  # fmt: skip
    torch.manual_seed(0)
    layer = make().eval().float()
    with torch.no_grad():
        for tensor in [*layer.parameters(), *layer.buffers()]:
            tensor.normal_(0, 0.6)
        y = layer(torch.from_numpy(X))
    tensors = {k: np.asarray(v.detach().numpy()) for k, v in layer.state_dict().items()}
    return tensors, np.asarray((y[0] if isinstance(y, tuple) else y).numpy())


def _from_torch(family: str, t: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by our names."""
    gate_up, down = t["experts.gate_up_proj"], t["experts.down_proj"]
    router = "router" if family == "gpt-oss" else "gate"
    w = {"router.weight": t[f"{router}.weight"].T}
    if family == "gpt-oss":
        biases = t["experts.gate_up_proj_bias"]
        w |= {"router.bias": t["router.bias"], "experts.down_bias": t["experts.down_proj_bias"]}
        w |= {"experts.gate": gate_up[..., ::2], "experts.up": gate_up[..., 1::2], "experts.down": down}
        return w | {"experts.gate_bias": biases[..., ::2], "experts.up_bias": biases[..., 1::2]}
    gate, up = np.split(gate_up.swapaxes(1, 2), 2, axis=-1)
    w |= {"experts.gate": gate, "experts.up": up, "experts.down": down.swapaxes(1, 2)}
    if family == "DeepSeek-V3":
        w |= {"balance_bias": t["gate.e_score_correction_bias"]}
        w |= {f"shared.{n}": t[f"shared_experts.{n}_proj.weight"].T for n in ("gate", "up", "down")}
    return w


@pytest.mark.parametrize("family", ["Mixtral", "Qwen3-MoE", "DeepSeek-V3", "gpt-oss"])
@pytest.mark.slow
def test_layers_are_those_of_transformers(family: str) -> None:
    """Live, where the package is installed: the `parity` extra."""
    tensors, wanted = _torch_layer(family)
    weights = _from_torch(family, tensors)
    layer, _ = randomised(FAMILIES[family])
    for path, variable in nnx.to_flat_state(nnx.state(layer, nnx.Param)):
        variable[...] = jnp.asarray(weights.pop(".".join(map(str, path))))
        target = functools.reduce(getattr, map(str, path), layer)
        target[...] = variable[...]
    assert not weights
    np.testing.assert_allclose(routed(layer, X)[0], wanted, rtol=1e-5, atol=1e-5)


def test_routers_are_specs() -> None:
    assert isinstance(MIXTRAL.router, Router) and hash(MIXTRAL) == hash(MoE(4, 2, GatedMLP(6)))
    with pytest.raises(ValueError, match="MoE.experts is 0; it is at least 1"):
        MoE(0, 1, MLP(3))
