"""The few functions in which time is spent, against NumPy float64, as traced for each platform."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import Attention
from model.feedforward import MLP, GatedMLP
from model.kernels import Dense
from model.layers import by_itself, embedding, into_heads, linear, out_of_heads
from model.positions import Rope
from model.precision import Precision
from model.transformer import TransformerConfig
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


@pytest.mark.parametrize("where", [contextlib.nullcontext(), axes.active(Elsewhere())])
def test_heads_are_products_too(where: contextlib.AbstractContextManager) -> None:
    rng = np.random.default_rng(1)
    x, inwards, outwards = (rng.normal(size=shape) for shape in ((2, 3, 5), (5, 2, 4), (2, 4, 5)))
    with where:
        heads = into_heads(jnp.asarray(x, jnp.float32), jnp.asarray(inwards, jnp.float32))
        np.testing.assert_allclose(heads, np.einsum("bse,ehd->bshd", x, inwards), atol=2e-6)
        back = out_of_heads(heads, jnp.asarray(outwards, jnp.float32))
    np.testing.assert_allclose(back, np.einsum("bse,ehd,hdo->bso", x, inwards, outwards), atol=1e-5)


def test_wide_products_have_narrow_gradients_on_a_tpu() -> None:
    """Logits in float32 of bfloat16, and gradients against NumPy, to the rounding of bfloat16."""
    rng = np.random.default_rng(2)
    x, w, by = (rng.normal(size=shape) for shape in ((2, 3, 5), (5, 4), (2, 3, 4)))
    narrow = [jnp.asarray(part, jnp.bfloat16) for part in (x, w)]
    with axes.active(Elsewhere()):
        found, pull = jax.vjp(lambda x, w: linear(x, w, jnp.float32), *narrow)
    assert found.dtype == jnp.float32
    x, w = (np.asarray(part, np.float64) for part in narrow)
    np.testing.assert_allclose(found, x @ w, rtol=1e-5, atol=1e-5)
    d_x, d_w = pull(jnp.asarray(by, jnp.float32))
    assert d_x.dtype == d_w.dtype == jnp.bfloat16
    np.testing.assert_allclose(d_x.astype(jnp.float32), by @ w.T, rtol=0.02, atol=0.05)
    np.testing.assert_allclose(d_w.astype(jnp.float32), np.einsum("bsi,bso->io", x, by), rtol=0.02, atol=0.05)


def test_only_tpus_are_told_what_to_compute_by_itself() -> None:
    def primitives() -> str:
        return str(jax.make_jaxpr(lambda x: by_itself((x, x)))(1.0))

    assert "optimization_barrier" not in primitives()
    with axes.active(Elsewhere()):
        assert "optimization_barrier" in primitives()


def test_what_is_computed_by_itself_lies_as_it_is_written_and_so_does_its_gradient() -> None:
    """Arrays of three axes; heads, of four, lie as attention wants them."""
    layout = "Layout(major_to_minor=(0, 1, 2)"
    with axes.active(Elsewhere()):
        stream = str(jax.make_jaxpr(jax.grad(lambda x: by_itself(2 * x).sum()))(jnp.ones((2, 3, 4))))
        heads = str(jax.make_jaxpr(by_itself)(jnp.ones((2, 3, 4, 5))))
    assert stream.count(layout) == 2 and "Layout" not in heads


@pytest.mark.parametrize("feedforward", [GatedMLP(16), MLP(16)])
def test_a_decoder_is_the_same_on_every_platform(feedforward: MLP | GatedMLP, make_model) -> None:
    """As traced for a TPU, with its rotations, heads and barriers, and as for this CPU: output and gradient."""
    config = TransformerConfig(
        layers=2, embed=16, vocab=11, attention=Attention(2, 1, positions=Rope(), kernel=Dense()),
        feedforward=feedforward, precision=Precision(compute="float32"),
    )  # fmt: skip
    model, _ = make_model(config)
    tokens = jnp.arange(14).reshape(2, 7) % 11

    def loss(model: object) -> tuple[jax.Array, jax.Array]:
        logits = model(tokens)  # type: ignore[operator]
        return jnp.mean(jax.nn.logsumexp(logits, -1) ** 2), logits

    # Two functions, since what was traced for one platform is not looked at again for another.
    here = jax.jit(lambda m: jax.value_and_grad(loss, has_aux=True)(m))(model)
    with axes.active(Elsewhere()):
        there = jax.jit(lambda m: jax.value_and_grad(loss, has_aux=True)(m))(model)
    for one, other in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(one).max())
