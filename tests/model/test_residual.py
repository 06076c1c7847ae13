"""Initial deviations and norms of residual types; their sums are tested with the whole stack (`test_stack.py`)."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.feedforward import MLP
from model.residual import (
    DeepNorm,
    Norms,
    OutputNorm,
    Parallel,
    PostNorm,
    PreNorm,
    Residual,
    SandwichNorm,
)
from model.transformer import DecoderLM, TransformerConfig

NAMES = {
    PreNorm(): ["before0", "before1"], PostNorm(): ["after0", "after1"], DeepNorm(4): ["after0", "after1"],
    OutputNorm(): ["after0", "after1"], SandwichNorm(): ["before0", "before1", "after0", "after1"],
    Parallel(): ["before0"], Parallel(shared=False): ["before0", "before1"],
}  # fmt: skip


@pytest.mark.parametrize("residual", NAMES, ids=str)
def test_norms_that_a_block_has(residual: Residual) -> None:
    config = TransformerConfig(2, 8, 9, Attention(2), MLP(4), residual=residual)
    model = nnx.eval_shape(lambda: DecoderLM(config, nnx.Rngs(0)))
    block = nnx.to_pure_dict(nnx.state(model, nnx.Param))["blocks"]["0"]
    assert sorted(block["norms"]) == sorted(NAMES[residual]) == sorted(residual.norms(2))
    assert (model.final_norm is None) == isinstance(residual, PostNorm | DeepNorm)


@pytest.mark.parametrize(
    ("residual", "inner", "added"),
    [
        (PreNorm(), 0.02, 0.02 / np.sqrt(2 * 6)),
        (SandwichNorm(), 0.02, 0.02 / np.sqrt(2 * 6)),
        (PostNorm(), 0.02, 0.02),
        (DeepNorm(6), 0.02 * (8 * 6) ** -0.25, 0.02 * (8 * 6) ** -0.25),
    ],
)
def test_deviations_at_the_start(residual: Residual, inner: float, added: float) -> None:
    config = TransformerConfig(6, 128, 9, Attention(4), MLP(256), residual=residual)
    block = getattr(DecoderLM(config, nnx.Rngs(0)).blocks, "0")
    expected = {"query": 0.02, "key": 0.02, "value": inner, "output": added}
    # Deviations of 98,304 and more draws: within 2 in 100 with certainty.
    for name, std in expected.items():
        assert np.std(getattr(block.attention, name)[...]) == pytest.approx(std, rel=0.02), name
    assert np.std(block.feedforward.up[...]) == pytest.approx(inner, rel=0.02)
    assert np.std(block.feedforward.down[...]) == pytest.approx(added, rel=0.02)


class Doubled(Norms):
    """Norms that double, so that sums can be done in the head."""

    def __init__(self) -> None:
        pass

    def __getitem__(self, name: str):
        return lambda x: 2 * x


@pytest.mark.parametrize(
    ("residual", "expected"),
    [
        # Layers that add 1 and multiply by 10; norms that double; a stream of 3.
        (PreNorm(), (3 + 7) + 10 * 2 * 10),
        (PreNorm(0.5), (3 + 3.5) + 0.5 * 10 * 2 * 6.5),
        (PostNorm(), 2 * (11 * (2 * (3 + 4)))),
        (PostNorm(3.0), 2 * (13 * (2 * (9 + 4)))),
        (DeepNorm(8), 2 * (12 * (2 * (6 + 4)))),  # (2 * 8)^(1/4) is 2
        (OutputNorm(), 11 + 2 * 110),
        (SandwichNorm(), 17 + 2 * 10 * 2 * 17),
        (Parallel(), 3 + 7 + 60),
        (Parallel(shared=False), 3 + 7 + 60),
    ],
)
def test_sums(residual: Residual, expected: float) -> None:
    found = residual.join(jnp.full((1, 1, 1), 3.0), [lambda x: x + 1, lambda x: 10 * x], Doubled())
    assert float(found[0, 0, 0]) == pytest.approx(expected, rel=1e-6)


def test_no_blocks_is_no_depth() -> None:
    with pytest.raises(ValueError, match="DeepNorm.layers is 0; it is at least 1"):
        DeepNorm(0)
