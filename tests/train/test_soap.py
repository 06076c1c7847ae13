"""SOAP against algorithm 3 of its paper in NumPy float64, block by block."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.optimizers import SOAP
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}

_spec = importlib.util.spec_from_file_location("block_reference", Path(__file__).parent / "block_reference.py")
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def soap(gradients: list[np.ndarray]) -> list[np.ndarray]:
    """The steps of one block, with b1 0.8, b2 0.9, eps 1e-3 and a power iteration every second step."""
    first, steps = gradients[0], [np.zeros_like(gradients[0])]
    left, right = 0.1 * first @ first.T, 0.1 * first.T @ first
    rows, columns = (np.linalg.eigh(x)[1][:, ::-1] for x in (left, right))
    mean, square = 0.0, 0.0
    for t, gradient in enumerate(gradients[1:], 1):
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * (rows.T @ gradient @ columns) ** 2
        inside = rows.T @ mean @ columns / (1 - 0.8**t) / (np.sqrt(square / (1 - 0.9**t)) + 1e-3)
        steps.append(rows @ inside @ columns.T)
        left, right = 0.9 * left + 0.1 * gradient @ gradient.T, 0.9 * right + 0.1 * gradient.T @ gradient
        if t % 2 == 0:
            rows, columns = np.linalg.qr(left @ rows)[0], np.linalg.qr(right @ columns)[0]
    return steps


def test_soap_is_algorithm_3() -> None:
    spec = SOAP(b1=0.8, b2=0.9, eps=1e-3, every=2, block=3, decay=0.3, clip=0.0)
    weights, gradients, history = reference.run(spec)
    for k, wanted in weights.items():
        mean = square = 0.0
        if k in reference.MATRICES:
            split = [reference.by_blocks(k, gradient[k]) for gradient in gradients]
            steps = {place: soap([blocks[place] for blocks in split]) for place in split[0]}
        for t, found in enumerate(history, 1):
            mean, square = 0.8 * mean + 0.2 * gradients[t - 1][k], 0.9 * square + 0.1 * gradients[t - 1][k] ** 2
            step = mean / (1 - 0.8**t) / (np.sqrt(square / (1 - 0.9**t)) + 1e-3)
            if k in reference.MATRICES:
                step = reference.whole(k, {place: taken[t - 1] for place, taken in steps.items()})
            wanted = wanted - reference.rate(t - 1) * (step + (0 if k == "scale" else 0.3) * wanted)
            np.testing.assert_allclose(found[k], wanted, rtol=2e-3, atol=2e-4, err_msg=f"{k} {t}")


def test_turned_data_are_learnt_alike() -> None:
    """What tells it from Adam: a rotation of a matrix's rows and columns rotates its steps."""
    rng = np.random.default_rng(3)
    rows, columns = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (4, 4))
    gradients = [rng.normal(size=(4, 4)) for _ in range(4)]

    def last(given: list[np.ndarray]) -> np.ndarray:
        optimizer = SOAP(clip=0.0).transform(lambda step: 1.0, {"up": Weight(("up",), ("embed", "mlp"), (4, 4))})
        weights = {"up": jnp.zeros((4, 4))}
        state, update = optimizer.init(weights), jax.jit(optimizer.update, compiler_options=QUICK)
        for gradient in given:
            updates, state = update({"up": jnp.asarray(gradient, jnp.float32)}, state, weights)
        return np.asarray(updates["up"])

    turned = last([rows @ gradient @ columns for gradient in gradients])
    np.testing.assert_allclose(turned, rows @ last(gradients) @ columns, atol=2e-3)


@pytest.mark.parametrize("field", ["every", "block"])
def test_what_cannot_be_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"SOAP.{field} is 0; it is above 0"):
        SOAP(**{field: 0})
