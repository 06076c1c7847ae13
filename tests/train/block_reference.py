"""Weights whose matrices are cut into blocks, stepped by an optimizer, for comparison with NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train.optimizers import Optimizer
from train.weights import Weight

TABLE = {
    "query": Weight(("query",), ("layers", "embed", "heads", "head_dim"), (2, 6, 2, 3)),
    "output": Weight(("output",), ("heads", "head_dim", "embed"), (2, 3, 6)),
    # Two blocks a side of which the second is filled up.
    "up": Weight(("up",), ("embed", "mlp"), (5, 5)),
    "embedding": Weight(("embedding",), ("vocab", "embed"), (7, 6)),
    "scale": Weight(("scale",), ("layers", "embed"), (2, 6)),
}
# Matrices of a stack, and their sides.
MATRICES = {"query": (2, 6, 6), "output": (1, 6, 6), "up": (1, 5, 5)}
STEPS = 6


def rate(step: Any) -> Any:
    return 0.1 / (step + 1)


def run(spec: Optimizer) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Weights at the start, gradients, and weights after each step."""
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=w.shape) for k, w in TABLE.items()}
    gradients = [{k: rng.normal(size=w.shape) for k, w in TABLE.items()} for _ in range(STEPS)]
    optimizer = spec.transform(rate, TABLE)
    found = {k: jnp.asarray(w, jnp.float32) for k, w in weights.items()}
    state, history = optimizer.init(found), []
    update = jax.jit(optimizer.update, compiler_options={"xla_backend_optimization_level": 0})
    for gradient in gradients:
        updates, state = update({k: jnp.asarray(g, jnp.float32) for k, g in gradient.items()}, state, found)
        found = optax.apply_updates(found, updates)
        history.append({k: np.asarray(w) for k, w in found.items()})
    return weights, gradients, history


def by_blocks(k: str, x: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """Blocks of at most 3 a side, by matrix and place."""
    stack, rows, columns = MATRICES[k]
    return {
        (i, r, c): matrix[r : r + 3, c : c + 3]
        for i, matrix in enumerate(x.reshape(stack, rows, columns))
        for r in range(0, rows, 3) for c in range(0, columns, 3)
    }


def whole(k: str, blocks: dict[tuple[int, ...], np.ndarray]) -> np.ndarray:
    found = np.zeros(MATRICES[k])
    for (i, r, c), block in blocks.items():
        found[i, r : r + block.shape[0], c : c + block.shape[1]] = block
    return found.reshape(TABLE[k].shape)
