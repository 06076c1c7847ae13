"""Lion against its formula in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.optimizers import Lion
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
TABLE = {"up": Weight(("up",), ("embed", "mlp"), (3, 4)), "scale": Weight(("scale",), ("embed",), (5,))}


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_lion_is_algorithm_2(clip: float) -> None:
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=w.shape) for k, w in TABLE.items()}
    momentum = {k: np.zeros(w.shape) for k, w in TABLE.items()}
    optimizer = Lion(b1=0.8, b2=0.95, decay=0.3, clip=clip).transform(lambda step: 0.1 / (step + 1), TABLE)
    found = {k: jnp.asarray(w, jnp.float32) for k, w in weights.items()}
    state = optimizer.init(found)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    for t in range(1, 7):
        # Sizes such that clipping changes which way the next step goes.
        gradient = {k: (0.1 if t % 2 else 5.0) * rng.normal(size=w.shape) for k, w in TABLE.items()}
        updates, state = update({k: jnp.asarray(g, jnp.float32) for k, g in gradient.items()}, state, found)
        found = optax.apply_updates(found, updates)
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        for k, g in gradient.items():
            g = g * (min(1.0, clip / norm) if clip else 1.0)
            step = np.sign(0.8 * momentum[k] + 0.2 * g)
            momentum[k] = 0.95 * momentum[k] + 0.05 * g
            weights[k] = weights[k] - 0.1 / t * (step + (0.3 * weights[k] if k == "up" else 0))
            np.testing.assert_allclose(found[k], weights[k], rtol=1e-5, atol=1e-6, err_msg=f"{k} {t}")


def test_clipping_changes_a_direction() -> None:
    """Which the test above depends on."""
    def last(clip: float) -> jax.Array:
        optimizer = Lion(clip=clip, decay=0.0).transform(lambda step: 1.0, {"up": TABLE["up"]})
        weights = {"up": jnp.zeros((3, 4))}
        state = optimizer.init(weights)
        for gradient in (jnp.full((3, 4), 100.0), jnp.full((3, 4), -0.1)):
            updates, state = optimizer.update({"up": gradient}, state, weights)
        return updates["up"]

    assert (last(0.0) == -1).all() and (last(0.1) == 1).all()
