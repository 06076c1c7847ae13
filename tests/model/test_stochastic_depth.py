"""Stochastic depth: none of it without a key or a rate, and in expectation what is added without a key."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.feedforward import MLP
from model.kernels import Dense
from model.mixing import Step
from model.positions import NoPositions
from model.precision import Precision
from model.residual import DeepNorm, Norms, OutputNorm, Parallel, PostNorm, PreNorm, Residual, SandwichNorm
from model.stochastic_depth import StochasticDepth
from model.transformer import DecoderLM, TransformerConfig

BASE = TransformerConfig(
    layers=3, embed=8, vocab=11, precision=Precision(compute="float32"),
    attention=Attention(2, positions=NoPositions(), kernel=Dense()), feedforward=MLP(16, "relu"),
)  # fmt: skip
RESIDUALS = [PreNorm(), PostNorm(), DeepNorm(3), OutputNorm(), SandwichNorm(), Parallel(), Parallel(shared=False)]
TOKENS = jnp.arange(12).reshape(2, 6) % 11


class Doubled(Norms):
    """Norms that double."""

    def __init__(self) -> None:
        pass

    def __getitem__(self, name: str):
        return lambda x: 2 * x


def run(model: DecoderLM, key: jax.Array | None) -> jax.Array:
    call = jax.jit(DecoderLM.__call__, compiler_options={"xla_backend_optimization_level": 0})
    return call(model, TOKENS, dropout_key=key)


@pytest.mark.parametrize("of", RESIDUALS, ids=str)
def test_without_a_key_it_is_the_residual_itself(of: Residual) -> None:
    wrapped = StochasticDepth(of, 0.5)
    x, layers = jnp.full((1, 1, 1), 3.0), [lambda x: x + 1, lambda x: 10 * x]
    assert wrapped.norms(2) == of.norms(2) and wrapped.spreads() == of.spreads()
    assert wrapped.final_norm == of.final_norm and wrapped.additive == of.additive
    assert float(wrapped.join(x, layers, Doubled())[0, 0, 0]) == float(of.join(x, layers, Doubled())[0, 0, 0])
    # Every branch goes through the hook, whatever the order of norms: without branches x is all there is.
    gone = of.join(x, layers, Doubled(), lambda number, y: 0 * y)
    nothing = of.join(x, [lambda x: 0 * x] * 2, Doubled())
    assert float(gone[0, 0, 0]) == float(nothing[0, 0, 0])


def test_only_noise_drops_and_one_key_drops_the_same(make_model) -> None:
    config = dataclasses.replace(BASE, residual=StochasticDepth(PreNorm(), 0.9))
    model, _ = make_model(config)
    weights = nnx.to_pure_dict(nnx.state(model))
    plain, _ = make_model(BASE, weights)
    never, _ = make_model(dataclasses.replace(BASE, residual=StochasticDepth(PreNorm(), 0.0)), weights)
    key = jax.random.key(0)
    np.testing.assert_array_equal(run(model, None), run(plain, None))
    np.testing.assert_array_equal(run(never, key), run(plain, key))
    np.testing.assert_array_equal(run(model, key), run(model, key))
    others = [np.asarray(run(model, jax.random.key(seed))) for seed in range(4)]
    assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.combinations(others, 2))
    assert config.noisy and not dataclasses.replace(config, residual=PreNorm()).noisy


@pytest.mark.parametrize("remat", ["none", "full"])
def test_expectation_over_rows_and_layers(make_model, remat: str) -> None:
    """A stream that nothing normalises before it is added to: layers that give a constant c add L c on average.

    Block l of L adds nothing with a chance of rate * l / L, and c / (1 - rate * l / L) otherwise, each layer and
    row for itself: the sum has the mean L c and a known variance.
    """
    rate, blocks, rows = 0.6, 3, 4000
    spec = StochasticDepth(PreNorm(), rate)
    config = dataclasses.replace(
        BASE, residual=spec, remat=remat, feedforward=MLP(16, "relu", bias=True),
        attention=dataclasses.replace(BASE.attention, output_bias=True),
    )
    model, _ = make_model(config)
    state = jax.tree.map(jnp.zeros_like, nnx.state(model))
    nnx.update(model, state)
    block = getattr(model.blocks, "0")
    block.attention.output_bias[...] = jnp.ones_like(block.attention.output_bias[...])
    block.feedforward.down_bias[...] = 10 * jnp.ones_like(block.feedforward.down_bias[...])

    def stream(model: DecoderLM, key: jax.Array) -> jax.Array:
        tokens = jnp.zeros((rows, 1), jnp.int32)
        step = Step(jnp.zeros((rows, 1), jnp.int32))
        return model.read(tokens, step, key)[0]

    x = np.asarray(jax.jit(stream)(model, jax.random.key(1)))[:, 0]
    assert (x == x[:, :1]).all()  # a row is dropped whole
    stays = 1 - rate * np.arange(1, blocks + 1) / blocks
    mean, variance = 11.0 * blocks, ((1 - stays) / stays).sum() * (1 + 100)
    assert x[:, 0].mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / rows))
    assert x[:, 0].var() == pytest.approx(variance, rel=0.15)
    # Of each layer and block it is known whether it is there: all 64 sums occur that can, and no others.
    possible = {
        round(float(sum(a / s + 10 * b / s for (a, b), s in zip(choice, stays, strict=True))), 3)
        for choice in itertools.product(itertools.product((0, 1), repeat=2), repeat=blocks)
    }
    found = {round(float(value), 3) for value in x[:, 0]}
    assert all(min(abs(value - other) for other in possible) < 0.01 for value in found)
    assert len({round(value, 1) for value in found}) > 50


def test_gradient_passes_where_branches_stay(make_model) -> None:
    """Under remat the same branches are dropped again: gradients with it and without are equal."""
    config = dataclasses.replace(BASE, residual=StochasticDepth(PreNorm(), 0.7))
    model, _ = make_model(config)
    weights = nnx.to_pure_dict(nnx.state(model))
    found = []
    for remat in ("none", "full"):
        again, _ = make_model(dataclasses.replace(config, remat=remat), weights)
        loss = lambda m: jnp.mean(jax.nn.logsumexp(m(TOKENS, dropout_key=jax.random.key(2)), -1) ** 2)  # noqa: E731
        found.append(jax.jit(jax.grad(loss), compiler_options={"xla_backend_optimization_level": 0})(again))
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(np.abs(b).max(), 1e-3))


def test_bad_rates() -> None:
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"StochasticDepth.rate is {rate}; it is at least 0 and below 1"):
            StochasticDepth(PreNorm(), rate)
    with pytest.raises(ValueError, match="give the rate once"):
        StochasticDepth(StochasticDepth(PreNorm(), 0.1), 0.1)
