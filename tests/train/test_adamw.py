"""AdamW against one written in NumPy float64, with and without multipliers of single weights."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.optimizers import AdamW
from train.weights import Weight

B1, B2, EPS, DECAY = 0.8, 0.9, 1e-3, 0.3
TABLE = {
    "matrix": Weight(("matrix",), ("embed", "mlp"), (3, 4)),
    "stack of scales": Weight(("scales",), ("layers", "embed"), (2, 4)),
    "vector": Weight(("vector",), ("embed",), (5,)),
}
PLAIN = {"matrix": (1.0, 1.0), "stack of scales": (1.0, 0.0), "vector": (1.0, 0.0)}
# By weight: multipliers of the learning rate and of the decay.
MULTIPLIED = {"matrix": (0.5, 0.25), "stack of scales": (1.0, 0.0), "vector": (3.0, 2.0)}


def rate(step: Any) -> Any:
    return 0.1 / (step + 1)


def adamw(
    weights: dict[str, np.ndarray], gradients: list[dict[str, np.ndarray]], clip: float,
    multipliers: dict[str, tuple[float, float]],
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
            own_rate, own_decay = multipliers[k]
            weights[k] = w - own_rate * rate(t - 1) * (step + own_decay * DECAY * w)
        history.append(dict(weights))
    return history


@pytest.mark.parametrize(("clip", "multipliers"), [(1.0, PLAIN), (0.0, PLAIN), (1.0, MULTIPLIED)])
def test_adamw_is_its_formula(clip: float, multipliers: dict[str, tuple[float, float]]) -> None:
    table = TABLE if multipliers is PLAIN else {
        k: dataclasses.replace(weight, rate=multipliers[k][0], decay=multipliers[k][1]) for k, weight in TABLE.items()
    }
    rng = np.random.default_rng(0)
    shapes = {"matrix": (3, 4), "stack of scales": (2, 4), "vector": (5,)}
    weights = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    # Norms on both sides of the clip.
    gradients = [
        {k: (size * rng.normal(size=s)).astype(np.float32) for k, s in shapes.items()}
        for size in (2.0, 0.05, 5.0, 0.1, 1.0)
    ]
    optimizer = AdamW(B1, B2, EPS, DECAY, clip).transform(rate, table)
    update = jax.jit(optimizer.update)
    found = jax.tree.map(jnp.asarray, weights)
    state = optimizer.init(found)
    for gradient, expected in zip(gradients, adamw(weights, gradients, clip, multipliers), strict=True):
        updates, state = update(gradient, state, found)
        found = jax.tree.map(jnp.add, found, updates)
        for k, wanted in expected.items():
            np.testing.assert_allclose(found[k], wanted, rtol=1e-5, atol=1e-6, err_msg=k)
