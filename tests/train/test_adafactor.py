"""Adafactor against its formula in NumPy float64, and against optax's where the two are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.optimizers import Adafactor
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
# Weights by their axes, and how many dimensions stack matrices, and the rows of each (0: a vector).
WEIGHTS = {
    "query": (("layers", "embed", "heads", "head_dim"), (2, 6, 2, 5), 1, 6),
    "output": (("layers", "heads", "head_dim", "embed"), (2, 2, 5, 6), 1, 10),
    "experts": (("layers", "experts", "embed", "mlp"), (2, 3, 4, 5), 2, 4),
    "embedding": (("vocab", "embed"), (9, 6), 0, 9),
    "scale": (("layers", "embed"), (2, 6), 1, 0),
    "bias": (("layers", "heads", "head_dim"), (2, 3, 2), 1, 0),
}


def root_mean_square(x: np.ndarray) -> float:
    return np.sqrt((x**2).mean())


def one(weight: np.ndarray, gradients: list[np.ndarray], factored: bool) -> np.ndarray:
    """One matrix or vector, by the steps of algorithms 4 and 5."""
    rows, columns, whole = 0.0, 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        old = 1 - t**-0.7
        square = gradient**2 + 1e-6
        rows = old * rows + (1 - old) * square.sum(-1)
        columns = old * columns + (1 - old) * square.sum(0)
        whole = old * whole + (1 - old) * square
        v = np.outer(rows, columns) / rows.sum() if factored else whole
        step = gradient / np.sqrt(v)
        step = step / max(1.0, root_mean_square(step) / 0.9)
        weight = weight - 0.1 / t * (step * max(0.05, root_mean_square(weight)) + 0.3 * factored * weight)
    return weight


def test_adafactor_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=shape) * (0.01 if k == "bias" else 1) for k, (_, shape, _, _) in WEIGHTS.items()}
    gradients = [{k: size * rng.normal(size=w.shape) for k, w in weights.items()} for size in (1.0, 3.0, 0.1, 1.0)]
    table = {k: Weight((k,), axes, shape) for k, (axes, shape, _, _) in WEIGHTS.items()}
    spec = Adafactor(exponent=0.7, eps=1e-6, floor=0.05, threshold=0.9, decay=0.3)
    optimizer = spec.transform(lambda step: 0.1 / (step + 1), table)
    found = {k: jnp.asarray(w, jnp.float32) for k, w in weights.items()}
    state = optimizer.init(found)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    for gradient in gradients:
        updates, state = update({k: jnp.asarray(g, jnp.float32) for k, g in gradient.items()}, state, found)
        found = optax.apply_updates(found, updates)
    for k, (_, shape, stacked, rows) in WEIGHTS.items():
        own = (rows, -1) if rows else (int(np.prod(shape[stacked:])),)
        stack = int(np.prod(shape[:stacked]))
        split = [x.reshape(stack, *own) for x in (weights[k], *(gradient[k] for gradient in gradients))]
        wanted = [one(split[0][i], [g[i] for g in split[1:]], bool(rows)) for i in range(stack)]
        np.testing.assert_allclose(found[k], np.reshape(wanted, shape), rtol=2e-5, atol=1e-6, err_msg=k)


@pytest.mark.parametrize("shape", [(7, 4), (3, 8)])
def test_of_one_matrix_optax_makes_the_same(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    ours = Adafactor().transform(lambda step: 0.1, {"up": Weight(("up",), ("embed", "mlp"), shape)})
    theirs = optax.adafactor(0.1, min_dim_size_to_factor=1)
    one = two = {"up": jnp.asarray(rng.normal(size=shape), jnp.float32)}
    kept, held = ours.init(one), theirs.init(two)
    our_update, their_update = jax.jit(ours.update), jax.jit(theirs.update)
    for _ in range(4):
        gradient = {"up": jnp.asarray(rng.normal(size=shape), jnp.float32)}
        step, kept = our_update(gradient, kept, one)
        one = optax.apply_updates(one, step)
        step, held = their_update(gradient, held, two)
        two = optax.apply_updates(two, step)
    np.testing.assert_allclose(one["up"], two["up"], rtol=1e-5, atol=1e-6)


def test_keeps_a_row_and_a_column_of_each_matrix() -> None:
    table = {"query": Weight(("query",), ("layers", "embed", "heads", "head_dim"), (2, 6, 2, 5))}
    kept = Adafactor().transform(lambda step: 0.1, table).init({"query": jnp.zeros((2, 6, 2, 5))})
    assert sum(leaf.size for leaf in jax.tree.leaves(kept)) - 2 * (6 + 10) <= 2  # counters


def test_a_rate_by_width_is_corrected_for_steps_as_large_as_the_weights() -> None:
    """Under muP a hidden matrix of four times the width has half the numbers: the rest of its rate is by them."""
    weights = {"up": jnp.full((4, 4), 0.5)}

    def step(rate: float, width: float) -> jax.Array:
        table = {"up": Weight(("up",), ("embed", "mlp"), (4, 4), rate=rate, width=width)}
        optimizer = Adafactor().transform(lambda step: 1.0, table)
        return jax.jit(optimizer.update, compiler_options=QUICK)(weights, optimizer.init(weights), weights)[0]["up"]

    plain, wide = step(1.0, 1.0), step(0.25, 4.0)
    np.testing.assert_allclose(wide, plain / 2, rtol=1e-6)
