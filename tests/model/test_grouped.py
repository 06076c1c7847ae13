"""Products of sorted rows against loops over experts in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.by_expert import ByExpert
from model.grouped import _Blocks, _Kernel, _Ragged

EXPERTS, ROWS, INPUTS, OUTPUTS = 4, 300, 16, 24
# One expert has no rows, and the last 60 rows have no expert.
SIZES = np.array([130, 0, 7, 103])
OWNER = np.repeat([0, 1, 2, 3, EXPERTS], [*SIZES, ROWS - SIZES.sum()])
# Blocks of 60 rows, whoever owns them.
OWNERS = np.array([2, 0, 0, 3, 1])
WAYS: dict[str, tuple[ByExpert, np.ndarray]] = {
    "ragged": (_Ragged(sizes=jnp.asarray(SIZES), owner=jnp.asarray(OWNER)), OWNER),
    "kernel": (_Kernel(sizes=jnp.asarray(SIZES), owner=jnp.asarray(OWNER), rows=128, interpret=True), OWNER),
    "blocks": (_Blocks(owner=jnp.asarray(OWNERS), size=60), np.repeat(OWNERS, 60)),
}


@pytest.mark.parametrize("name", WAYS)
def test_rows_meet_the_weights_of_their_experts(name: str) -> None:
    way, owner = WAYS[name]
    rng = np.random.default_rng(0)
    x, w, dy = (rng.normal(size=shape) for shape in ((ROWS, INPUTS), (EXPERTS, INPUTS, OUTPUTS), (ROWS, OUTPUTS)))
    owned = owner < EXPERTS
    y, dx, dw = np.zeros((ROWS, OUTPUTS)), np.zeros(x.shape), np.zeros(w.shape)
    for row in np.flatnonzero(owned):
        e = owner[row]
        y[row], dx[row] = x[row] @ w[e], dy[row] @ w[e].T
        dw[e] += np.outer(x[row], dy[row])

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def both(x: jax.Array, w: jax.Array, dy: jax.Array) -> tuple[jax.Array, ...]:
        found, pull = jax.vjp(way.product, x, w)
        return found, *pull(dy)

    found = both(*(jnp.asarray(value, jnp.float32) for value in (x, w, dy * owned[:, None])))
    # What stands in rows without an expert is of no account.
    for one, other in zip((found[0][owned], found[1][owned], found[2]), (y[owned], dx[owned], dw), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    bias = rng.normal(size=(EXPERTS, OUTPUTS)).astype(np.float32)
    np.testing.assert_array_equal(way.spread(jnp.asarray(bias), 2)[owned], bias[owner[owned]])
