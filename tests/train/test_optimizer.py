"""AdamW against one written in NumPy float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.optimizer import AdamW, is_matrix

B1, B2, EPS, DECAY = 0.8, 0.9, 1e-3, 0.3
MATRIX = {"matrix": True, "stack of scales": False, "vector": False}


def rate(step: Any) -> Any:
    return 0.1 / (step + 1)


def adamw(
    weights: dict[str, np.ndarray], gradients: list[dict[str, np.ndarray]], clip: float
) -> list[dict[str, np.ndarray]]:
    weights = {k: w.astype(np.float64) for k, w in weights.items()}
    mean = {k: np.zeros_like(w) for k, w in weights.items()}
    square = {k: np.zeros_like(w) for k, w in weights.items()}
    history = []
    for t, gradient in enumerate(gradients, 1):
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradient.values()))
        scale = clip / norm if clip and norm > clip else 1.0
        for k, w in weights.items():
            g = gradient[k].astype(np.float64) * scale
            mean[k] = B1 * mean[k] + (1 - B1) * g
            square[k] = B2 * square[k] + (1 - B2) * g**2
            step = mean[k] / (1 - B1**t) / (np.sqrt(square[k] / (1 - B2**t)) + EPS)
            decay = DECAY * w if MATRIX[k] else 0
            weights[k] = w - rate(t - 1) * (step + decay)
        history.append(dict(weights))
    return history


@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_adamw_is_its_formula(clip: float) -> None:
    rng = np.random.default_rng(0)
    shapes = {"matrix": (3, 4), "stack of scales": (2, 4), "vector": (5,)}
    weights = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    # Norms on both sides of the clip.
    gradients = [
        {k: (size * rng.normal(size=s)).astype(np.float32) for k, s in shapes.items()}
        for size in (2.0, 0.05, 5.0, 0.1, 1.0)
    ]
    optimizer = AdamW(B1, B2, EPS, DECAY, clip).transform(rate, MATRIX)
    update = jax.jit(optimizer.update)
    found = jax.tree.map(jnp.asarray, weights)
    state = optimizer.init(found)
    for gradient, expected in zip(gradients, adamw(weights, gradients, clip), strict=True):
        updates, state = update(gradient, state, found)
        found = jax.tree.map(jnp.add, found, updates)
        for k, wanted in expected.items():
            np.testing.assert_allclose(found[k], wanted, rtol=1e-5, atol=1e-6, err_msg=k)


def test_what_a_matrix_is() -> None:
    for axes in (("vocab", "embed"), ("layers", "embed", "mlp"), ("embed", "heads", "head_dim")):
        assert is_matrix(axes)
    for axes in (("embed",), ("layers", "embed"), ("layers", "head_dim"), ("layers",), ()):
        assert not is_matrix(axes)
