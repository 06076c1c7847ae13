"""Schedule-Free AdamW against algorithm 1 in NumPy float64, with the average kept instead of recovered."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train.optimizers import ScheduleFreeAdamW
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
TABLE = {
    "up": Weight(("up",), ("embed", "mlp"), (3, 4)),
    "half": dataclasses.replace(Weight(("half",), ("embed", "mlp"), (3, 2)), rate=0.5),
    "scale": Weight(("scale",), ("embed",), (5,)),
}


def rate(step: int) -> float:
    return 0.05 * (step + 1) / 4 if step < 4 else 0.04


def test_schedule_free_is_algorithm_1() -> None:
    rng = np.random.default_rng(0)
    z = {k: rng.normal(size=w.shape) for k, w in TABLE.items()}
    x, square = dict(z), {k: np.zeros(w.shape) for k, w in TABLE.items()}
    spec = ScheduleFreeAdamW(b1=0.8, b2=0.9, eps=1e-3, decay=0.3, clip=0.0)
    optimizer = spec.transform(lambda step: jnp.where(step < 4, 0.05 * (step + 1) / 4, 0.04), TABLE)
    found = {k: jnp.asarray(w, jnp.float32) for k, w in z.items()}
    state = optimizer.init(found)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    total, highest = 0.0, 0.0
    for t in range(1, 9):
        gradient = {k: rng.normal(size=w.shape) for k, w in TABLE.items()}
        updates, state = update({k: jnp.asarray(g, jnp.float32) for k, g in gradient.items()}, state, found)
        found = optax.apply_updates(found, updates)
        highest = max(highest, rate(t - 1))
        total += highest**2
        share = highest**2 / total
        for k, g in gradient.items():
            y = 0.2 * z[k] + 0.8 * x[k]
            square[k] = 0.9 * square[k] + 0.1 * g**2
            step = g / (np.sqrt(square[k] / (1 - 0.9**t)) + 1e-3) + (0 if k == "scale" else 0.3 * y)
            z[k] = z[k] - rate(t - 1) * TABLE[k].rate * step
            x[k] = (1 - share) * x[k] + share * z[k]
        evaluated = spec.evaluated(state, found)
        for k in TABLE:
            np.testing.assert_allclose(found[k], 0.2 * z[k] + 0.8 * x[k], rtol=1e-4, atol=1e-5, err_msg=f"{k} {t}")
            np.testing.assert_allclose(evaluated[k], x[k], rtol=1e-4, atol=1e-5, err_msg=f"{k} {t}")
    assert spec.averages


def test_the_average_stays_right_over_many_steps() -> None:
    """It is recovered from what learns and what Adam steps, and errors could add up."""
    spec = ScheduleFreeAdamW(clip=0.0)
    optimizer = spec.transform(lambda step: 0.01, TABLE)
    weights = {k: jnp.ones(w.shape) for k, w in TABLE.items()}

    def step(carry: tuple, key: jax.Array) -> tuple:
        weights, state, total = carry
        gradient = {k: jax.random.normal(key, w.shape) + w for k, w in weights.items()}
        updates, state = optimizer.update(gradient, state, weights)
        # A constant rate weighs all of Adam's iterates alike.
        return (optax.apply_updates(weights, updates), state, jax.tree.map(jnp.add, total, state.z)), None

    start = (weights, optimizer.init(weights), jax.tree.map(jnp.zeros_like, weights))
    keys = jax.random.split(jax.random.key(0), 2000)
    (weights, state, total), _ = jax.jit(lambda start: jax.lax.scan(step, start, keys))(start)
    for k, x in spec.evaluated(state, weights).items():
        np.testing.assert_allclose(x, total[k] / 2000, rtol=2e-3, atol=1e-4)
