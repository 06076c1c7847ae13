"""Muon against its formula in NumPy float64, and on several devices against one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from model.attention import Attention
from model.feedforward import MLP
from model.transformer import TransformerConfig
from sharding.placement import Placement
from sharding.placements import DataParallel, FullySharded, TensorParallel
from train.optimizers.muon import Muon, orthogonal
from train.state import Blueprint, abstract_state
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
POLYNOMIALS = ((3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046), (2.8366, -3.0525, 1.2012))
# Weights by their axes, and the rows of each as a matrix (0: Adam's).
WEIGHTS = {
    "query": (("layers", "embed", "heads", "head_dim"), (2, 6, 2, 5), 6),
    "output": (("layers", "heads", "head_dim", "embed"), (2, 2, 5, 6), 10),
    "up": (("embed", "mlp"), (6, 8), 6),
    "experts": (("layers", "experts", "embed", "mlp"), (2, 3, 4, 5), 4),
    "latent": (("rank", "heads", "head_dim"), (4, 2, 3), 4),
    "embedding": (("vocab", "embed"), (9, 6), 0),
    "scale": (("layers", "embed"), (2, 6), 0),
}


def by_singular_values(x: np.ndarray) -> np.ndarray:
    u, s, v = np.linalg.svd(x, full_matrices=False)
    s = s / np.sqrt((s**2).sum())
    for a, b, c in POLYNOMIALS:
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ v


def muon(weight: np.ndarray, gradients: list[np.ndarray], rows: int, stack: int) -> np.ndarray:
    total = np.zeros_like(weight)
    for t, gradient in enumerate(gradients):
        total = 0.9 * total + gradient
        momentum = gradient + 0.9 * total
        layers = momentum.reshape(stack, rows, -1)
        scale = 0.2 * max(layers.shape[1:]) ** 0.5
        step = scale * np.stack([by_singular_values(layer) for layer in layers]).reshape(weight.shape)
        weight = weight - 0.1 / (t + 1) * (step + 0.3 * weight)
    return weight


def adam(weight: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    mean = square = np.zeros_like(weight)
    for t, gradient in enumerate(gradients, 1):
        mean, square = 0.8 * mean + 0.2 * gradient, 0.9 * square + 0.1 * gradient**2
        weight = weight - 2 * 0.1 / t * (mean / (1 - 0.8**t) / (np.sqrt(square / (1 - 0.9**t)) + 1e-3))
    return weight


def test_muon_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=shape) for k, (_, shape, _) in WEIGHTS.items()}
    gradients = [{k: 0.1 * rng.normal(size=w.shape) for k, w in weights.items()} for _ in range(4)]
    table = {k: Weight((k,), axes, shape) for k, (axes, shape, _) in WEIGHTS.items()}
    spec = Muon(momentum=0.9, iterations=3, decay=0.3, b1=0.8, b2=0.9, eps=1e-3, rate=2.0, clip=0.0)
    optimizer = spec.transform(lambda step: 0.1 / (step + 1), table)
    found = {k: jnp.asarray(w, jnp.float32) for k, w in weights.items()}
    state = optimizer.init(found)
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        updates, state = update({k: jnp.asarray(g, jnp.float32) for k, g in gradient.items()}, state, found)
        found = optax.apply_updates(found, updates)
    for k, (axes, _, rows) in WEIGHTS.items():
        history = [gradient[k] for gradient in gradients]
        stack = int(np.prod([n for axis, n in zip(axes, weights[k].shape) if axis in ("layers", "experts")]))
        wanted = muon(weights[k], history, rows, stack) if rows else adam(weights[k], history)
        np.testing.assert_allclose(found[k], wanted, rtol=1e-4, atol=1e-5, err_msg=k)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (3, 7, 7)])
def test_five_iterations_are_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    values = np.linalg.svd(np.asarray(orthogonal(jnp.asarray(x), 5)), compute_uv=False)
    assert values.min() > 0.5 and values.max() < 1.3
    assert not np.any(np.asarray(orthogonal(jnp.zeros(shape), 5)))


def test_clips_by_global_norm() -> None:
    # The first step does not depend on the size of a gradient, later ones on the sizes relative to each other.
    table = {"up": Weight(("up",), ("embed", "mlp"), (3, 4))}
    weights = {"up": jnp.zeros((3, 4))}
    small = {"up": jnp.eye(3, 4)}
    large = {"up": 100 * jnp.arange(12.0).reshape(3, 4)}
    norm = float(optax.global_norm(large))

    def second(clip: float, gradient: dict[str, jax.Array]) -> jax.Array:
        optimizer = Muon(clip=clip).transform(lambda step: 1.0, table)
        _, state = optimizer.update(small, optimizer.init(weights), weights)
        return optimizer.update(gradient, state, weights)[0]["up"]

    scaled = jax.tree.map(lambda g: 2 * g / norm, large)
    np.testing.assert_allclose(second(2.0, large), second(0.0, scaled), rtol=1e-4, atol=1e-5)
    assert not np.allclose(second(0.0, large), second(0.0, scaled), atol=1e-2)


@functools.cache
def stepped(placement: Placement | None) -> list[np.ndarray]:
    """The updates of one step and what is kept after it, on all devices; None: on one."""
    layout = DataParallel().on(jax.devices()[:1]) if placement is None else placement.on()
    config = TransformerConfig(layers=2, embed=16, vocab=32, attention=Attention(4, kv_heads=2), feedforward=MLP(24))
    blueprint = Blueprint(config)
    optimizer = Muon(iterations=1).transform(optax.constant_schedule(0.1), blueprint.table)
    rng = np.random.default_rng(2)
    weights, gradients = (
        jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), blueprint.shapes) for _ in range(2)
    )
    abstract = abstract_state(blueprint, optimizer, layout)
    places = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    given = jax.device_put(
        (gradients, optimizer.init(weights), weights), (places.weights, places.optimizer, places.weights)
    )
    update = jax.jit(optimizer.update, out_shardings=(places.weights, places.optimizer))
    updates, kept = update.lower(*given).compile(compiler_options=QUICK)(*given)
    for leaf, wanted in zip(jax.tree.leaves(kept), jax.tree.leaves(abstract.optimizer), strict=True):
        assert leaf.shape == wanted.shape and leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((updates, kept))]


@pytest.mark.parametrize("placement", [FullySharded(), TensorParallel(tensor=2)], ids=["fsdp", "tensor"])
def test_sharded_is_unsharded(placement: Placement) -> None:
    for found, expected in zip(stepped(placement), stepped(None), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("iterations", [0, 6])
def test_impossible_iterations_are_refused(iterations: int) -> None:
    with pytest.raises(ValueError, match=rf"Muon.iterations is {iterations}; it is 1 to 5"):
        Muon(iterations=iterations)
