"""The average of weights against the weighted mean it says it is."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.optimizers import AdamW, Averaged, ScheduleFreeAdamW
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
TABLE = {"up": Weight(("up",), ("embed", "mlp"), (3, 4)), "scale": Weight(("scale",), ("embed",), (5,))}


@pytest.mark.parametrize("decay", [0.0, 0.7, 0.9999])
def test_is_the_mean_of_the_weights_so_far(decay: float) -> None:
    rng = np.random.default_rng(0)
    spec = Averaged(AdamW(), decay)
    optimizer, alone = (s.transform(lambda step: 0.1, TABLE) for s in (spec, AdamW()))
    weights = same = {k: jnp.asarray(rng.normal(size=w.shape), jnp.float32) for k, w in TABLE.items()}
    state, other, history = optimizer.init(weights), alone.init(weights), []
    jax.tree.map(np.testing.assert_array_equal, spec.evaluated(state, weights), weights)
    update, plain = jax.jit(optimizer.update, compiler_options=QUICK), jax.jit(alone.update, compiler_options=QUICK)
    for t in range(1, 9):
        gradient = {k: jnp.asarray(rng.normal(size=w.shape), jnp.float32) for k, w in TABLE.items()}
        updates, state = update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
        steps, other = plain(gradient, other, same)
        same = optax.apply_updates(same, steps)
        history.append({k: np.asarray(w, np.float64) for k, w in weights.items()})
        shares = decay ** np.arange(t - 1, -1, -1.0)
        shares /= shares.sum()
        found = spec.evaluated(state, weights)
        for k in TABLE:
            wanted = sum(share * past[k] for share, past in zip(shares, history, strict=True))
            np.testing.assert_allclose(found[k], wanted, rtol=2e-5, atol=2e-6, err_msg=f"{k} {t}")
    # What learns is what learns without it.
    jax.tree.map(np.testing.assert_array_equal, weights, same)
    assert spec.averages and not AdamW().averages


def test_averages_in_float32_and_gives_what_it_was_given() -> None:
    spec = Averaged(AdamW())
    weights = {"up": jnp.ones((3, 4), jnp.bfloat16)}
    state = spec.transform(lambda step: 0.1, {"up": TABLE["up"]}).init(weights)
    assert state.average["up"].dtype == jnp.float32
    assert spec.evaluated(state, weights)["up"].dtype == jnp.bfloat16


def test_what_averages_already_is_refused() -> None:
    with pytest.raises(ValueError, match="Averaged.inner is ScheduleFreeAdamW, which averages the weights already"):
        Averaged(ScheduleFreeAdamW())
    with pytest.raises(ValueError, match="Averaged.decay is 1.0; it is at least 0 and below 1"):
        Averaged(AdamW(), 1.0)
