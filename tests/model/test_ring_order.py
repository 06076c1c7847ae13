"""Which chunks of a divided sequence a device holds and meets: by hand, and against the mask pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from model.masks import Causal, Full, Mask, Segments, Sinks, SlidingWindow, Strided, Window
from model.ring_order import dealt, gathered, order, unplanned


def work(mask: Mask, length: int, ways: int, zigzag: bool) -> np.ndarray:
    """Pairs that each device computes in each turn, [turns, ways], counted in the dense mask."""
    plan, dense = order(mask, length, ways, zigzag), mask.dense(length, length)
    chunk = length // (ways * plan.chunks)
    found = np.zeros((plan.turns, ways), int)
    for turn in range(plan.turns):
        for mine in range(plan.chunks):
            for theirs in range(plan.chunks):
                for device, (q, k) in enumerate(zip(*(x[:, 0] for x in plan.meeting(mine, theirs, turn)), strict=True)):
                    found[turn, device] += dense[q * chunk : (q + 1) * chunk, k * chunk : (k + 1) * chunk].sum()
    return found


MASKS = [Causal(), Full(), Causal() & SlidingWindow(7), Window(3, 9), Causal() & (Sinks(1) | Strided(6)) & Segments()]


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("ways", [1, 3, 4])
def test_all_that_is_seen_is_met_once(mask: Mask, ways: int) -> None:
    for zigzag in (False, True):
        assert work(mask, 48, ways, zigzag).sum() == mask.dense(48, 48).sum()


def test_causal_work_is_even_in_zigzag_order() -> None:
    plan = order(Causal(), 48, 4, True)
    assert plan.held.tolist() == [[0, 7], [1, 6], [2, 5], [3, 4]]
    # Chunks of 6: in the first turn two triangles of 21 and a square of 36, in the others two squares.
    assert work(Causal(), 48, 4, True).tolist() == [[78] * 4, [72] * 4, [72] * 4, [72] * 4]
    # Straight, of 12: the last device has three squares of 144, the first none, and every turn but one takes as long.
    assert work(Causal(), 48, 4, False).tolist() == [
        [78] * 4, [0, 144, 144, 144], [0, 0, 144, 144], [0, 0, 0, 144],
    ]  # fmt: skip


def test_only_neighbours_within_a_window_are_visited() -> None:
    plan = order(Causal() & SlidingWindow(7), 48, 8, True)
    assert (plan.chunks, plan.first, plan.turns) == (1, 0, 2)
    # Both ways: from the device after, over the own, to the one before.
    plan = order(Window(3, 5), 48, 8, True)
    assert (plan.first, plan.turns) == (7, 3)
    assert order(Full(), 48, 8, True).turns == 8 and order(Full(), 48, 8, True).chunks == 1
    assert unplanned(8).turns == 8
    # An odd number of places in a device's stretch has no halves.
    assert order(Causal(), 20, 4, True).chunks == 1


@pytest.mark.parametrize("ways", [3, 4])
def test_dealing_is_undone_by_gathering(ways: int) -> None:
    plan = order(Causal(), 24 * ways, ways, True)
    mesh = Mesh(np.array(jax.devices()[:ways]), ("ring",))
    place = jnp.arange(24 * ways)

    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        chunks = dealt(x, ("ring",), plan, 0)
        return chunks[:, 0][None], gathered(chunks, ("ring",), plan, 0)

    along = PartitionSpec("ring")
    firsts, back = jax.jit(jax.shard_map(both, mesh=mesh, in_specs=along, out_specs=along, check_vma=False))(place)
    np.testing.assert_array_equal(firsts, plan.held * 12)
    np.testing.assert_array_equal(back, place)
