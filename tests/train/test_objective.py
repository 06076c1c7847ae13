"""Objectives against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.spec import Hidden
from train.cross_entropy import cross_entropy
from train.objective import CausalLM


class Fixed:
    """A model whose logits are given; it notes what it was called with."""

    def __init__(self, logits: np.ndarray) -> None:
        self.given = jnp.asarray(logits)
        self.called = []

    def hidden(self, batch, dropout_key=None) -> Hidden:
        self.called = [batch, dropout_key]
        return Hidden(self.given, jnp.zeros(()), {})

    def logits(self, x):
        return x


RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(3, 5, 7)).astype(np.float32) * 3
BATCH = {
    "inputs": jnp.asarray(RNG.integers(0, 7, (3, 5)), jnp.int32),
    "targets": jnp.asarray(RNG.integers(0, 7, (3, 5)), jnp.int32),
    "weights": jnp.asarray([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0.5, 1, 1, 1]], jnp.float32),
}


def by_hand() -> tuple[float, float, float]:
    """Negative log likelihood, squared log Z and weight, summed token by token."""
    nll = square = weight = 0.0
    for row in range(3):
        for place in range(5):
            logits = LOGITS[row, place].astype(np.float64)
            log_z = np.log(np.exp(logits).sum())
            w = float(BATCH["weights"][row, place])
            nll += w * (log_z - logits[int(BATCH["targets"][row, place])])
            square += w * log_z**2
            weight += w
    return nll, square, weight


@pytest.mark.parametrize("z_loss", [0.0, 0.25])
def test_sums_are_over_weighted_tokens(z_loss: float) -> None:
    found = CausalLM(z_loss).sums(Fixed(LOGITS), BATCH, None)
    nll, square, weight = by_hand()
    assert float(found.nll) == pytest.approx(nll, rel=1e-6)
    assert float(found.loss) == pytest.approx(nll + z_loss * square, rel=1e-6)
    assert float(found.weight) == weight
    assert all(part.dtype == jnp.float32 and part.shape == () for part in found[:3])


def test_the_model_gets_what_the_batch_has() -> None:
    model, key = Fixed(LOGITS), jax.random.key(0)
    CausalLM().sums(model, BATCH, None)
    assert model.called[0] is BATCH and model.called[1] is None
    packed = BATCH | {"positions": BATCH["targets"] * 0, "segment_ids": BATCH["targets"] * 0 + 1}
    CausalLM().sums(model, packed, key)
    assert model.called[0] is packed and model.called[1] is key


def test_cross_entropy_of_large_logits_is_finite() -> None:
    logits = jnp.asarray([[[1e4, 0.0, -1e4]]])
    nll, log_z = cross_entropy(logits, jnp.asarray([[1]]))
    assert nll.item() == 1e4 and log_z.item() == 1e4
    nll, log_z = cross_entropy(jnp.zeros((1, 1, 8)), jnp.asarray([[3]]))
    assert nll.item() == pytest.approx(np.log(8)) == log_z.item()
