"""Arrays put on eight devices tensor by tensor: right, each read once, and no more in memory than the shards."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from model.families.placing import Parts, groups


@pytest.mark.parametrize(
    "spec", [(), ("a",), (None, "a"), (None, "b", "a"), ("b", None, "a"), (("a", "b"),), (None, ("b", "a"))]
)
def test_shards_are_those_that_jax_cuts(spec: tuple) -> None:
    sharding = NamedSharding(Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b")), PartitionSpec(*spec))
    whole = np.random.default_rng(0).normal(size=(8, 16, 4)).astype(np.float32)
    parts = Parts(jax.ShapeDtypeStruct(whole.shape, whole.dtype), sharding)
    sizes = [block.nbytes for block in parts._blocks.values()]
    distinct = len(set(map(str, sharding.devices_indices_map(whole.shape).values())))
    assert sizes == [whole.nbytes // distinct] * distinct
    asked = []
    for repeat in range(8):
        parts.take(repeat, lambda repeat=repeat: asked.append(repeat) or whole[repeat])
    placed = parts.placed()
    assert placed.sharding == sharding
    np.testing.assert_array_equal(placed, whole)
    assert {shard.data.nbytes for shard in placed.addressable_shards} == set(sizes)
    assert set(asked) == set(range(8))


def test_a_tensor_that_no_shard_needs_is_not_read() -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("a",))
    parts = Parts(jax.ShapeDtypeStruct((2, 3), "bfloat16"), NamedSharding(mesh, PartitionSpec("a")))
    first = next(iter(parts._blocks))
    parts._blocks = {first: parts._blocks[first]}
    parts.take(1, lambda: pytest.fail("it was read"))


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=3, unique=True), max_size=12
    )
)
def test_groups_hold_each_array_once(links: list[list[tuple[int, int]]]) -> None:
    given_links = [
        (tuple(f"{i}.{n}.{p}" for n, p in link), tuple((str(p),) for _, p in link)) for i, link in enumerate(links)
    ]
    found = groups(given_links)
    paths = [path for group, _ in found for path in group]
    assert len(paths) == len(set(paths)) and set(paths) == {path for _, ps in given_links for path in ps}
    assert sorted(name for _, names in found for name in names) == sorted(n for ns, _ in given_links for n in ns)
    for group, names in found:
        assert {name.rsplit(".", 1)[1] for name in names} == {path for (path,) in group}
    for names, _ in given_links:
        # The tensors of a link stand together, so that it is read once.
        [order] = [tensors for _, tensors in found if names[0] in tensors]
        at = order.index(names[0])
        assert tuple(order[at : at + len(names)]) == names
