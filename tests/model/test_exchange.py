"""Rows sent over devices against lists in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from model.exchange import Exchange, Traffic, traffic
from sharding.placements import DataParallel

DEVICES, ROWS = 8, 12
OPTIONS = {"xla_backend_optimization_level": 0}


def drawn(seed: int) -> np.ndarray:
    """How many rows each device has for each: some for none, and in one case all for one."""
    rng = np.random.default_rng(seed)
    if seed == 0:
        return np.where(np.arange(DEVICES) == 3, ROWS, 0)[None].repeat(DEVICES, 0)
    return np.stack([rng.multinomial(ROWS, rng.dirichlet(np.full(DEVICES, 0.3))) for _ in range(DEVICES)])


@functools.cache
def both_ways(places: int) -> jax.stages.Wrapped:
    """What devices have after a round, and after it is sent back; and the gradient of the first."""
    mesh, exchange = DataParallel().on().mesh, Exchange(("data",), DEVICES)
    own, all_have = PartitionSpec("data"), PartitionSpec()

    def run(rows: jax.Array, counts: jax.Array, first: jax.Array, factor: jax.Array) -> tuple[jax.Array, ...]:
        plan = traffic(counts, first, places)
        received, pull = jax.vjp(lambda rows: exchange(rows, plan, places), rows)
        return received, exchange(received, plan.reversed, ROWS), *pull(factor)

    spread = jax.shard_map(
        run, mesh=mesh, in_specs=(own, all_have, all_have, own), out_specs=(own, own, own), check_vma=False
    )
    return jax.jit(spread, compiler_options=OPTIONS)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("places", [5, DEVICES * ROWS])
def test_each_receives_its_rows_in_turn(seed: int, places: int) -> None:
    counts = drawn(seed)
    rows = 1 + np.arange(DEVICES * ROWS * 2, dtype=np.float32).reshape(DEVICES, ROWS, 2)
    ends = counts.cumsum(1)
    queues = [
        [(i, r) for i in range(DEVICES) for r in range(ends[i, j] - counts[i, j], ends[i, j])] for j in range(DEVICES)
    ]
    factor = np.random.default_rng(9).normal(size=(DEVICES, places, 2)).astype(np.float32)
    came, total = np.zeros_like(rows), 0
    for first in range(0, max(map(len, queues)), places):
        arguments = (rows.reshape(-1, 2), counts, jnp.int32(first), factor.reshape(-1, 2))
        received, back, gradient = (np.asarray(x) for x in both_ways(places)(*arguments))
        received, wanted = received.reshape(factor.shape), np.zeros(factor.shape)
        wanted_back, wanted_gradient = np.zeros_like(rows), np.zeros_like(rows)
        for j, queue in enumerate(queues):
            for place, (i, r) in enumerate(queue[first : first + places]):
                wanted[j, place] = wanted_back[i, r] = rows[i, r]
                wanted_gradient[i, r] = factor[j, place]
        np.testing.assert_array_equal(received, wanted)
        np.testing.assert_array_equal(back.reshape(rows.shape), wanted_back)
        np.testing.assert_array_equal(gradient.reshape(rows.shape), wanted_gradient)
        came, total = came + back.reshape(rows.shape), total + (wanted_back != 0).any(-1).sum()
    np.testing.assert_array_equal(came, rows)
    assert total == DEVICES * ROWS


def test_traffic_is_that_of_a_window() -> None:
    """By hand: two devices have 2 and 3 rows for the first, 4 and 1 for the second; places 1 to 3 of each are sent."""
    found = traffic(jnp.array([[2, 4], [3, 1]]), 1, 3)
    wanted = Traffic(np.array([[1, 3], [0, 3]]), np.array([[0, 0], [1, 3]]), np.array([[1, 3], [2, 0]]))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.reversed.size, wanted.size.T)
