"""Products in eight bits against their formulas in NumPy; models that train with them; what TPUs are told to do."""

import dataclasses
import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from jax.experimental import topologies

from data.spec import override
from model.attention import Attention
from model.feedforward import MLP, GatedMLP
from model.kernels import Dense
from model.latent_attention import LatentAttention
from model.layers import linear
from model.positions import NoPositions
from model.precision import Precision
from model.quantised import Fp8, Int8, QuantisedProduct, product
from model.transformer import TransformerConfig
from sharding.axes import ActiveLayout, active
from sharding.placements import DataParallel
from train.objective import CausalLM
from train.optimizers import AdamW
from train.state import Blueprint

BASE = TransformerConfig(
    layers=2, embed=32, vocab=17, precision=Precision(compute="float32"),
    attention=Attention(2, positions=NoPositions(), kernel=Dense()), feedforward=MLP(64, "relu"),
)  # fmt: skip
QUICK = {"xla_backend_optimization_level": 0}
# What the largest magnitude becomes; of integers half a step more than the largest, to which it is rounded.
LARGEST = {"int8": 127.5, "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


@pytest.fixture
def qwix() -> Any:
    return pytest.importorskip("qwix")


def rounded(x: np.ndarray, axis: int, name: str) -> np.ndarray:
    """`x` in a format of eight bits, with a scale of the largest magnitude along `axis`, and out of it again."""
    scale = np.abs(x).max(axis, keepdims=True) / np.float32(LARGEST[name])
    if name == "int8":
        return np.clip(np.rint(x / scale), -128, 127) * scale
    limited = np.clip(x / scale, -LARGEST[name], LARGEST[name])
    return limited.astype(getattr(ml_dtypes, name)).astype(np.float32) * scale


def operands(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of very different magnitudes [2, 5, 24], weights [24, 8], and a gradient of their product.

    Extremes are positive: whether a negative one becomes -127 or -128 is decided by the last bit of a division.
    """
    rng = np.random.default_rng(seed)
    drawn = (rng.normal(size=shape) for shape in ((2, 5, 24), (24, 8), (2, 5, 8)))
    x, w, dy = (np.where(np.abs(part) < 0.3, part, np.abs(part)).astype(np.float32) for part in drawn)
    return x * np.exp(rng.normal(size=(2, 5, 1))).astype(np.float32), w, dy


@pytest.mark.parametrize("spec", [Int8(), Int8(back=False), Fp8(anywhere=True)], ids=str)
def test_products_and_gradients_are_those_of_numpy(spec: QuantisedProduct, qwix: Any) -> None:
    x, w, dy = operands()
    y, pull = jax.vjp(lambda x, w: linear(x, w, quantised=spec), jnp.asarray(x), jnp.asarray(w))
    dx, dw = pull(jnp.asarray(dy))
    form = spec.formats
    near = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(y, rounded(x, -1, form.forward) @ rounded(w, 0, form.forward), **near)
    expected = rounded(dy, -1, form.back) @ rounded(w, 1, form.forward).T if form.back else dy @ w.T
    np.testing.assert_allclose(dx, expected, **near)
    rows, gradients = x.reshape(-1, 24), dy.reshape(-1, 8)
    if form.back_to_weights:
        rows, gradients = rounded(rows, 0, form.forward), rounded(gradients, 0, form.back_to_weights)
    np.testing.assert_allclose(dw, rows.T @ gradients, **near)
    # It is a coarse product, and not a wrong one.
    assert 1e-4 < np.abs(y - x @ w).max() / np.abs(x @ w).max() < 0.05


def test_formats_of_tokens_are_kept(qwix: Any) -> None:
    x, w, _ = (jnp.asarray(part, jnp.bfloat16) for part in operands())
    y = linear(x, w.astype(jnp.float32), quantised=Int8())
    assert y.dtype == jnp.bfloat16
    jaxpr = str(jax.make_jaxpr(lambda x, w: product(x, w, Int8().formats))(x, w))
    assert "preferred_element_type=int32" in jaxpr and ":i8[2,5,24]" in jaxpr and ":i8[24,8]" in jaxpr


@functools.cache
def losses(products: QuantisedProduct | None, steps: int = 40, remat: str = "none", **changes: Any) -> np.ndarray:
    """Of steps on one batch of random tokens."""
    precision = dataclasses.replace(BASE.precision, products=products)
    blueprint = Blueprint(dataclasses.replace(BASE, precision=precision, remat=remat, **changes))
    transform = AdamW(decay=0.0).transform(lambda step: 1e-2, blueprint.table)
    tokens = np.random.default_rng(0).integers(17, size=(4, 17), dtype=np.int32)
    batch = {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": np.ones((4, 16), np.float32)}

    def train(key: jax.Array) -> jax.Array:
        weights = blueprint.weights(key)

        def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
            weights, kept = carry

            def loss(weights: Any) -> jax.Array:
                found = CausalLM().sums(blueprint.model(weights), jax.tree.map(jnp.asarray, batch), None)
                return found.loss / found.weight

            value, gradient = jax.value_and_grad(loss)(weights)
            assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(gradient))
            updates, kept = transform.update(gradient, kept, weights)
            return (optax.apply_updates(weights, updates), kept), value

        return jax.lax.scan(step, (weights, transform.init(weights)), length=steps)[1]

    return np.asarray(jax.jit(train, compiler_options=QUICK)(jax.random.key(0)))


@pytest.mark.parametrize("products", [Int8(), Fp8(anywhere=True)], ids=str)
def test_training_goes_as_in_float32(products: QuantisedProduct, qwix: Any) -> None:
    plain, found = losses(None), losses(products)
    assert found[0] == pytest.approx(plain[0], rel=0.01) and found[0] != plain[0]
    # Half way down from the entropy of random tokens, ln 17 = 2.83, to nothing, where a batch is known by heart.
    assert plain[-1] < 1.0
    np.testing.assert_allclose(found, plain, atol=0.2)
    assert found[-10:].mean() == pytest.approx(plain[-10:].mean(), abs=0.1)


def test_remat_and_other_layers(qwix: Any) -> None:
    latent = LatentAttention(2, kv_rank=8, plain_dim=4, rotary_dim=4, value_dim=4, kernel=Dense())
    changes = {"attention": latent, "feedforward": GatedMLP(32), "layers": 1}
    one, other = losses(Int8(), 3, **changes), losses(Int8(), 3, "full", **changes)
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_tokens_do_not_see_one_another(qwix: Any) -> None:
    """Scales of a whole tensor would let later tokens, and other rows, show in earlier ones."""
    precision = dataclasses.replace(BASE.precision, products=Int8())
    blueprint = Blueprint(dataclasses.replace(BASE, precision=precision))
    run = jax.jit(lambda w, tokens: blueprint.model(w)(tokens), compiler_options=QUICK)
    weights = jax.jit(blueprint.weights, compiler_options=QUICK)(jax.random.key(0))
    tokens = jnp.arange(12).reshape(2, 6)
    changed = tokens.at[0, 4:].set(16).at[1].set(3)
    one, other = np.asarray(run(weights, tokens)), np.asarray(run(weights, changed))
    np.testing.assert_array_equal(one[0, :4], other[0, :4])
    assert np.abs(one[0, 4:] - other[0, 4:]).max() > 1e-3


class Device(ActiveLayout):
    """A layout of one device of some kind."""

    platform = "gpu"
    mesh = None

    def __init__(self, kind: str) -> None:
        self.device_kind = kind


def test_hardware_without_such_products_is_told(qwix: Any) -> None:
    x, w = jnp.ones((1, 4)), jnp.ones((4, 2))
    for kind in ("cpu", "NVIDIA A100-SXM4-80GB", "TPU v5 lite", "TPU v6 lite"):
        with active(Device(kind)), pytest.raises(ValueError, match=f"Fp8: '{kind}' has no products of 8-bit floats"):
            linear(x, w, quantised=Fp8())
    for kind in ("NVIDIA H100 80GB HBM3", "TPU7x"):
        with active(Device(kind)):
            np.testing.assert_allclose(linear(x, w, quantised=Fp8()), [[4.0, 4.0]], rtol=1e-6)
    with pytest.raises(ValueError, match="Fp8: 'cpu' has no products"):
        linear(x, w, quantised=Fp8())


def test_without_qwix_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qwix", None)
    with pytest.raises(ImportError, match=r"products in 8 bits need qwix: pip install 'espalier\[quantised\]'"):
        linear(jnp.ones((1, 4)), jnp.ones((4, 2)), quantised=Int8())


def test_products_by_key() -> None:
    changed = override(BASE, ["precision.products=Fp8(anywhere=true)"])
    assert changed.precision.products == Fp8(anywhere=True)
    assert override(changed, ["precision.products=none"]) == BASE


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["v5e:2x2", "v6e:2x2"])
def test_tpu_multiplies_integers(topology: str, qwix: Any) -> None:
    """Of the products with weights, those forward and those into gradients of tokens are of 8-bit integers."""
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    layout = DataParallel().on(devices)

    def text(products: QuantisedProduct | None) -> str:
        config = dataclasses.replace(
            BASE, embed=256, feedforward=MLP(512, "relu"), precision=Precision(products=products)
        )
        blueprint = Blueprint(config)

        def gradient(weights: Any, tokens: jax.Array) -> Any:
            loss = lambda w: jnp.mean(jax.nn.logsumexp(blueprint.model(w)(tokens), -1) ** 2)  # noqa: E731
            return jax.grad(loss)(weights)

        weights = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout.replicated), blueprint.shapes
        )
        tokens = jax.ShapeDtypeStruct((8, 128), jnp.int32, sharding=layout.batch)
        with active(layout):
            return jax.jit(gradient).lower(weights, tokens).compile().as_text()

    def integer_products(hlo: str) -> int:
        return sum(" = s32[" in line and " convolution(" in line for line in hlo.splitlines())

    # Four products of attention and two of the feed-forward layer, in a loop over layers: forward and backward.
    assert integer_products(text(None)) == 0
    assert integer_products(text(Int8())) == 12
