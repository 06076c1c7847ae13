"""Blocks: what is gathered scatters back, whatever the shapes."""

import math

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np

from train.optimizers.blocks import Blocks
from train.weights import Weight

AXES = {2: ("embed", "mlp"), 3: ("layers", "embed", "mlp"), 4: ("layers", "embed", "heads", "head_dim")}


# Every shape is a few programs to compile.
@hypothesis.settings(max_examples=3)
@hypothesis.given(
    st.lists(st.lists(st.integers(1, 7), min_size=2, max_size=4), min_size=1, max_size=4), st.integers(1, 8)
)
def test_there_and_back(shapes: list[list[int]], side: int) -> None:
    table = {str(i): Weight((str(i),), AXES[len(shape)], tuple(shape)) for i, shape in enumerate(shapes)}
    # Whole numbers other than 0, which fill up.
    tree = {k: jnp.arange(1.0, 1 + math.prod(w.shape)).reshape(w.shape) for k, w in table.items()}
    blocks = Blocks(table, side)
    pools = blocks.gathered(tree)
    for pool, found in pools.items():
        assert found.shape == blocks.shapes[pool] and max(found.shape[1:]) <= side
        assert pool == f"{found.shape[1]}x{found.shape[2]}"
    assert sum(int((np.asarray(x) != 0).sum()) for x in pools.values()) == sum(x.size for x in tree.values())
    for k, found in blocks.scattered(pools).items():
        np.testing.assert_array_equal(found, tree[k])


def test_a_block_is_of_one_matrix_and_of_neighbours() -> None:
    table = {"query": Weight(("query",), AXES[4], (2, 4, 2, 2))}
    x = np.arange(32.0).reshape(2, 4, 4)
    (found,) = Blocks(table, 2).gathered({"query": jnp.asarray(x.reshape(2, 4, 2, 2))}).values()
    wanted = [x[i, r : r + 2, c : c + 2] for i in range(2) for r in (0, 2) for c in (0, 2)]
    np.testing.assert_array_equal(found, wanted)


@hypothesis.given(st.integers(1, 3000))
def test_pools_divide_over_many_devices(count: int) -> None:
    (shape,) = Blocks({"up": Weight(("up",), AXES[3], (count, 1, 1))}, 1).shapes.values()
    assert count <= shape[0] <= count + count // 16
    assert count < 128 or shape[0] % 8 == 0
