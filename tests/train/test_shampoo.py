"""Shampoo against algorithm 1 of its paper in NumPy float64, block by block, with and without a graft."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sharding.placements import DataParallel, FullySharded
from train.optimizers import SOAP, Adafactor, Optimizer, Shampoo
from train.optimizers.graft import DiagonalLength, Graft, OwnLength
from train.state import placed
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}

_spec = importlib.util.spec_from_file_location("block_reference", Path(__file__).parent / "block_reference.py")
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def root(x: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(x)
    return vectors @ np.diag((values + 1e-2 * values.max()) ** -0.25) @ vectors.T


def directions(gradients: list[np.ndarray], b2: float) -> list[np.ndarray]:
    """Of one block; roots are computed at every second step."""
    left, right, found = 0.0, 0.0, []
    for t, gradient in enumerate(gradients):
        share, started = (1.0, 1.0) if b2 == 1 else (1 - b2, 1 - b2 ** (t + 1))
        left, right = b2 * left + share * gradient @ gradient.T, b2 * right + share * gradient.T @ gradient
        if t % 2 == 0:
            roots = root(left / started), root(right / started)
        found.append(roots[0] @ gradient @ roots[1])
    return found


@pytest.mark.parametrize(("b2", "graft"), [(1.0, OwnLength()), (0.9, DiagonalLength())])
def test_shampoo_is_algorithm_1(b2: float, graft: Graft) -> None:
    spec = Shampoo(b1=0.8, b2=b2, eps=1e-2, every=2, block=3, graft=graft, decay=0.3, clip=0.0)
    weights, gradients, history = reference.run(spec)
    for k, wanted in weights.items():
        square = mean = 0.0
        if k in reference.MATRICES:
            split = [reference.by_blocks(k, gradient[k]) for gradient in gradients]
            steps = {place: directions([blocks[place] for blocks in split], b2) for place in split[0]}
        for t, found in enumerate(history, 1):
            gradient, share = gradients[t - 1][k], 1.0 if b2 == 1 else 1 - b2
            square = b2 * square + share * gradient**2
            step = gradient / np.sqrt(square / (1 if b2 == 1 else 1 - b2**t))
            if k in reference.MATRICES:
                direction = reference.whole(k, {place: taken[t - 1] for place, taken in steps.items()})
                if graft == DiagonalLength():
                    stacked = [x.reshape(reference.MATRICES[k]) for x in (step, direction)]
                    long, short = (np.linalg.norm(x, axis=(1, 2), keepdims=True) for x in stacked)
                    direction = (stacked[1] * long / short).reshape(direction.shape)
                step = direction
            mean = 0.8 * mean + 0.2 * step
            wanted = wanted - reference.rate(t - 1) * (mean + (0 if k == "scale" else 0.3) * wanted)
            np.testing.assert_allclose(found[k], wanted, rtol=1e-3, atol=1e-4, err_msg=f"{k} {t}")


def test_of_nothing_it_makes_nothing() -> None:
    table = {"up": Weight(("up",), ("embed", "mlp"), (4, 4))}
    weights = {"up": jnp.ones((4, 4))}
    optimizer = Shampoo().transform(lambda step: 1.0, table)
    update = jax.jit(optimizer.update, compiler_options=QUICK)
    updates, state = update({"up": jnp.zeros((4, 4))}, optimizer.init(weights), weights)
    assert not np.any(np.asarray(updates["up"]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


# By optimizer: bytes of what it keeps, all of it, and on each of eight devices at most.
@pytest.mark.parametrize("spec", [Shampoo(block=8), SOAP(block=8), Adafactor()], ids=lambda spec: type(spec).__name__)
@pytest.mark.parametrize("placement", [FullySharded(), DataParallel()], ids=lambda placement: type(placement).__name__)
def test_what_is_kept_is_spread_over_the_devices(spec: Optimizer, placement: FullySharded | DataParallel) -> None:
    table = {"up": Weight(("up",), ("layers", "embed", "mlp"), (2, 32, 64))}
    shapes = {"up": jax.ShapeDtypeStruct((2, 32, 64), jnp.float32)}
    layout = placement.on()
    shardings = jax.tree.map(lambda weight: layout.weight(weight.axes, weight.shape), table)
    kept = placed(jax.eval_shape(spec.transform(lambda step: 1.0, table).init, shapes), shapes, shardings, layout)
    whole = {jax.tree_util.keystr(p): 4 * leaf.size for p, leaf in jax.tree.leaves_with_path(kept)}
    here = {
        jax.tree_util.keystr(p): 4 * int(np.prod(leaf.sharding.shard_shape(leaf.shape)))
        for p, leaf in jax.tree.leaves_with_path(kept)
    }
    spread = {k for k in whole if 8 * here[k] == whole[k]}
    if isinstance(spec, Adafactor):
        # A number for each of the 32 rows, along the axis that is sharded; a number a column lies whole.
        assert spread == ({k for k in whole if "rows" in k} if placement == FullySharded() else set())
        assert sum(whole.values()) == 4 * (2 * (32 + 64) + 2)
        return
    pools = {k for k in whole if "8x8" in k}
    assert len(pools) == (4 if isinstance(spec, Shampoo) else 5) and pools <= spread
    # 2 x 4 x 8 blocks of 8 x 8, as many numbers as the matrices have.
    assert all(whole[k] == 4 * 2 * 32 * 64 for k in pools)


def test_fields_are_checked() -> None:
    with pytest.raises(ValueError, match="Shampoo.b2 is 1.5; it is above 0 and at most 1"):
        Shampoo(b2=1.5)
    with pytest.raises(ValueError, match="Shampoo.every is 0; it is above 0"):
        Shampoo(every=0)
