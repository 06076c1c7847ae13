"""The few functions in which time is spent, against NumPy float64, as traced for each platform."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.layers import embedding, linear
from sharding import axes


class Elsewhere(axes.ActiveLayout):
    """A layout on a platform that is not here."""

    platform = "tpu"
    mesh = None


@pytest.mark.parametrize("where", [contextlib.nullcontext(), axes.active(Elsewhere())])
def test_linear_is_a_matrix_product(where: contextlib.AbstractContextManager) -> None:
    rng = np.random.default_rng(0)
    with where:
        for shape in ((5,), (2, 5), (2, 3, 5), (2, 1, 3, 5)):
            x, w = rng.normal(size=shape), rng.normal(size=(5, 4))
            found = linear(jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32))
            assert found.dtype == jnp.float32
            np.testing.assert_allclose(found, np.einsum("...i,io->...o", x, w), atol=2e-6)


def test_platforms_are_told_apart() -> None:
    """On a CPU a product has two dimensions; elsewhere axes stay as they are."""

    def dimensions() -> int:
        x, w = jnp.ones((2, 3, 5)), jnp.ones((5, 4))
        # A new function each time, for jax keeps what it has traced.
        jaxpr = jax.make_jaxpr(lambda x, w: linear(x, w))(x, w)
        (product,) = products(jaxpr.jaxpr)
        return product.invars[0].aval.ndim

    def products(jaxpr) -> list:
        """Also those within functions that have a gradient of their own."""
        inner = [p.jaxpr for e in jaxpr.eqns for p in e.params.values() if hasattr(p, "jaxpr")]
        own = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
        return own + [e for part in inner for e in products(part)]

    assert dimensions() == 2
    with axes.active(Elsewhere()):
        assert dimensions() == 3


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_linear_multiplies_in_the_format_of_x_and_sums_wider(platform: str) -> None:
    where = axes.active(Elsewhere()) if platform == "tpu" else contextlib.nullcontext()
    x, w = jnp.full((1, 2, 512), 1.0, jnp.bfloat16), jnp.full((512, 3), 1.004, jnp.float32)
    with where:
        narrow, wide = linear(x, w), linear(x, w, jnp.float32)
    assert narrow.dtype == jnp.bfloat16 and wide.dtype == jnp.float32
    # 1.004 is 1.0 or 1.0078 in bfloat16; 512 times it is no bfloat16 sum but a float32 one.
    rounded = float(jnp.asarray(1.004, jnp.bfloat16))
    np.testing.assert_array_equal(wide, np.full((1, 2, 3), 512 * rounded))
    assert linear(jnp.ones((1, 513), jnp.bfloat16), jnp.ones((513, 1)), jnp.float32).item() == 513


def test_embedding_looks_rows_up_and_clips() -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    tokens = jnp.asarray([[0, 3], [9, 2]])
    expected = [[[0, 1, 2], [9, 10, 11]], [[9, 10, 11], [6, 7, 8]]]
    assert embedding(jnp.asarray(table), tokens).tolist() == expected
