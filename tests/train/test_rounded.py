"""Stochastic rounding: unbiased, on the right grid, and what keeps small changes alive in bfloat16."""

from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.optimizers import AdamW, Averaged, Grouped, Rounded, Rule, Shampoo
from train.optimizers.rounded import stochastically, widened
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
TABLE = {"up": Weight(("up",), ("embed", "mlp"), (16, 64))}


def words(seed: int) -> jax.Array:
    return jax.random.bits(jax.random.key(seed), (2,), jnp.uint32)


def test_the_mean_over_keys_is_the_number() -> None:
    x = np.array([1.001, -3.3333, 1e-20, 6.5e-41, 0.1, 1 + 2**-8, 100.25, 1.0], np.float32)
    draw = jax.jit(jax.vmap(lambda w: stochastically(w, jnp.asarray(x)).astype(jnp.float32)))
    drawn = np.asarray(draw(jax.random.bits(jax.random.key(0), (20_000, 2), jnp.uint32)), np.float64)
    lower = (x.view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float64)
    upper = ((x.view(np.uint32) & 0xFFFF0000) + 0x10000).view(np.float32).astype(np.float64)
    assert (np.isin(drawn, [lower, upper]) | (drawn == lower) | (drawn == upper)).all()
    # Five deviations of a mean of so many draws of either.
    share = (x.astype(np.float64) - lower) / (upper - lower)
    spread = np.abs(upper - lower) * np.sqrt(share * (1 - share) / 20_000)
    assert (np.abs(drawn.mean(0) - x.astype(np.float64)) <= 5 * spread).all()
    assert (drawn[:, -1] == 1.0).all()


@hypothesis.given(st.floats(width=32), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_one_of_the_neighbours_always(x: float, first: int, second: int) -> None:
    found = np.asarray(stochastically(jnp.array([first, second], jnp.uint32), jnp.full((3,), x, jnp.float32)))
    found = found.astype(np.float32)
    bits = np.float32(x).view(np.uint32)
    with np.errstate(all="ignore"):
        near = [np.uint32(end & 0xFFFF0000).view(np.float32) for end in (int(bits), int(bits) + 0xFFFF)]
    assert all(np.isnan(f) if np.isnan(x) else f in near for f in found)


def test_neighbours_and_steps_are_drawn_apart() -> None:
    """Half a step above a number of bfloat16 is a coin, for every place and step."""
    half = jnp.full((64, 64), 1 + 2**-8, jnp.float32)
    coins = np.stack([np.asarray(stochastically(words(i), half).astype(jnp.float32)) > 1 for i in range(40)])
    coins = 2.0 * coins - 1
    for pair in ((coins[:-1], coins[1:]), (coins[:, :-1], coins[:, 1:]), (coins[:, :, :-1], coins[:, :, 1:])):
        product = pair[0] * pair[1]
        assert abs(product.mean()) < 5 / np.sqrt(product.size)


def kept_after(steps: int, spec: Any) -> np.ndarray:
    """The mean of squares after gradients of one, and then as many of two."""
    optimizer = spec.transform(lambda step: 1e-3, TABLE)
    weights = {"up": jnp.zeros((16, 64), jnp.bfloat16 if isinstance(spec, AdamW) else jnp.float32)}

    def step(state: Any, size: jax.Array) -> tuple[Any, None]:
        gradient = jax.tree.map(lambda w: jnp.full(w.shape, size, w.dtype), weights)
        return optimizer.update(gradient, state, weights)[1], None

    sizes = jnp.concatenate([jnp.ones(steps), jnp.full(steps, 2.0)])
    state = jax.jit(lambda state: jax.lax.scan(step, state, sizes))(optimizer.init(weights))[0]
    (found,) = (s.nu["up"] for s in jax.tree.leaves(state, is_leaf=lambda s: hasattr(s, "nu")) if hasattr(s, "nu"))
    assert found.dtype == jnp.bfloat16
    return np.asarray(found.astype(jnp.float32), np.float64)


def test_rounding_to_the_nearest_stalls_and_this_does_not() -> None:
    adam = AdamW(b2=0.999, clip=0.0, decay=0.0)
    wanted = 1 - 0.999**2000
    wanted = wanted * 0.999**2000 + 4 * (1 - 0.999**2000)
    # optax keeps what it keeps in the weights' format, here bfloat16, rounded to the nearest.
    plain, ours = kept_after(2000, adam), kept_after(2000, Rounded(adam))
    assert abs(ours.mean() / wanted - 1) < 0.01, ours.mean()
    assert np.abs(ours / wanted - 1).max() < 0.2
    assert plain.max() < 0.6 * wanted, plain.max()


def test_weights_of_bfloat16_take_steps_below_their_spacing() -> None:
    # Steps of 1e-3 from 1, where bfloat16 are 2^-8 apart below.
    optimizer = Rounded(AdamW(decay=0.0)).transform(lambda step: 1e-4, TABLE)
    weights = {"up": jnp.ones((16, 64), jnp.bfloat16)}
    state = optimizer.init(weights)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    for _ in range(50):
        updates, state = update(weights, state, weights)
        weights = optax.apply_updates(weights, updates)
    assert weights["up"].dtype == jnp.bfloat16
    # Adam's steps are of the size of the learning rate.
    assert float(weights["up"].astype(jnp.float32).mean()) == pytest.approx(1 - 50e-4, abs=3e-4)


def test_resumed_it_draws_the_same_and_other_seeds_others() -> None:
    def run(seed: int, cut: bool) -> np.ndarray:
        optimizer = Rounded(AdamW(), seed).transform(lambda step: 1e-3, TABLE)
        weights = {"up": jnp.ones((16, 64))}
        state, update = optimizer.init(weights), jax.jit(optimizer.update, compiler_options=QUICK)
        for i in range(4):
            if cut and i == 2:
                state = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), state)
            gradient = {"up": jax.random.normal(jax.random.key(i), (16, 64))}
            updates, state = update(gradient, state, weights)
            weights = optax.apply_updates(weights, updates)
        return np.asarray(weights["up"])

    np.testing.assert_array_equal(run(0, False), run(0, True))
    assert not np.array_equal(run(0, False), run(1, False))


def test_what_is_inside_is_evaluated() -> None:
    spec = Grouped(Rounded(Averaged(AdamW(), 0.5)), (Rule("other", trained=False),))
    table = TABLE | {"other": Weight(("other",), ("embed",), (3,))}
    optimizer = spec.transform(lambda step: 0.5, table)
    weights = {"up": jnp.ones((16, 64)), "other": jnp.ones(3)}
    state = optimizer.init(weights)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    for _ in range(2):
        updates, state = update(jax.tree.map(jnp.ones_like, weights), state, weights)
        weights = optax.apply_updates(weights, updates)
    found = spec.evaluated(state, weights)
    np.testing.assert_array_equal(found["up"], state.inner.inner.average["up"].astype(jnp.float32))
    assert found["up"].dtype == jnp.float32 and not np.array_equal(found["up"], weights["up"])
    assert found["other"] is weights["other"]
    assert spec.averages and not Rounded(AdamW()).averages
    assert widened(state.inner.count).dtype == jnp.int32


def test_statistics_of_other_shapes_stay_float32() -> None:
    optimizer = Rounded(Shampoo(block=16)).transform(lambda step: 0.1, TABLE)
    weights = {"up": jnp.ones((16, 64))}
    _, state = jax.jit(optimizer.update, compiler_options=QUICK)(weights, optimizer.init(weights), weights)
    kept = state.inner[1]
    assert kept.mean["up"].dtype == kept.squares["up"].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((kept.left, kept.right_root))} == {jnp.dtype("float32")}
