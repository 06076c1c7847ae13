"""Joins find what a person with a set and a list of groups would find, however the corpus is cut into shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from data.curation.join import (
    Clusters,
    FirstOccurrence,
    Join,
    Parts,
    Totals,
    equal_neighbours,
    seen_before,
    spanning_forest,
)
from data.curation.passes import read_arrays, write_arrays

# Halves repeat apart from one another, as they do in no corpus of a sensible size.
KEY = st.tuples(st.integers(0, 3), st.integers(0, 3))
BAND = st.integers(0, 12)


def found(join: Join, shards: Sequence[Sequence[Any]]) -> list[list[Any]]:
    findings = join.resolve([join.pack(shard) for shard in shards])
    assert [len(shard) for shard in findings] == [len(shard) for shard in shards]
    return [list(shard) for shard in findings]


def keys(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, np.uint64).reshape(-1, 2)


@given(shards=st.lists(st.lists(st.lists(KEY, max_size=4), max_size=4), max_size=4))
def test_first_occurrence_is_what_a_set_says(shards: list[list[list[tuple[int, int]]]]) -> None:
    seen: set[tuple[int, int]] = set()
    expected = []
    for shard in shards:
        expected.append([])
        for document in shard:
            expected[-1].append([])
            for key in document:
                expected[-1][-1].append(key in seen)
                seen.add(key)
    findings = found(FirstOccurrence(), [[keys(*document) for document in shard] for shard in shards])
    assert [[part.tolist() for part in shard] for shard in findings] == expected


def test_keys_that_share_a_half_are_different() -> None:
    high, low = keys((1, 1), (1, 2), (1, 1), (2, 1), (2, 2), (1, 2)).T
    assert seen_before(high, low).tolist() == [False, False, True, False, False, True]


def groups(documents: list[tuple[int, ...] | None]) -> list[bool]:
    """By pairs, until nothing changes: which documents are not the first of their group."""
    label = list(range(len(documents)))
    for _ in documents:
        for i, one in enumerate(documents):
            for j, other in enumerate(documents):
                if one and other and any(a == b for a, b in zip(one, other, strict=True)):
                    label[i] = label[j] = min(label[i], label[j])
    return [mine != i for i, mine in enumerate(label)]


@given(shards=st.lists(st.lists(st.none() | st.tuples(BAND, BAND, BAND), max_size=6), max_size=4))
def test_clusters_hang_together_at_any_remove(shards: list[list[tuple[int, ...] | None]]) -> None:
    signatures = [[np.array(bands or (), np.uint64) for bands in shard] for shard in shards]
    flat = [repeated for shard in found(Clusters(), signatures) for repeated in shard]
    assert flat == groups([document for shard in shards for document in shard])


def test_a_cluster_that_joins_another_takes_its_documents_along() -> None:
    """The last links to the third, that to the first, and only then the second to the last."""
    documents = [(1, 5, 9), (2, 6, 8), (3, 5, 7), (3, 4, 8)]
    assert found(Clusters(), [[np.array(bands, np.uint64) for bands in documents]]) == [[False, True, True, True]]


def test_equal_values_of_different_bands_are_no_link() -> None:
    assert found(Clusters(), [[np.array([1, 2], np.uint64), np.array([2, 1], np.uint64)]]) == [[False, False]]


@given(links=st.lists(st.tuples(st.integers(-5, 9), st.integers(-5, 9)), max_size=12))
def test_a_forest_keeps_the_clusters_with_fewest_links(links: list[tuple[int, int]]) -> None:
    forest = spanning_forest(np.array(links, np.int64).reshape(-1, 2).T).T.tolist()
    label = {node: node for link in links for node in link}
    for _ in label:
        for a, b in links:
            label[a] = label[b] = min(label[a], label[b])
    assert sorted(forest) == sorted([root, node] for node, root in label.items() if root != node)


def test_equal_neighbours() -> None:
    assert equal_neighbours(np.array([7, 5, 7, 6, 7, 5], np.uint64)).T.tolist() == [[1, 5], [0, 2], [2, 4]]


def test_totals() -> None:
    findings = found(Totals(), [[{"a": 1.0}, {"b": 2.5}], [], [{"a": 3.0, "c": 0.0}]])
    sums = {"a": 4, "b": 2.5, "c": 0}
    assert findings == [[sums, sums], [], [sums]]
    assert found(Totals(), [[{}]]) == [[{}]]


def test_parts_are_views() -> None:
    parts = Parts(np.arange(6), np.array([2, 0, 4]))
    assert [part.tolist() for part in parts] == [[0, 1], [], [2, 3, 4, 5]]
    assert [part.tolist() for part in parts[1:]] == [[], [2, 3, 4, 5]]
    assert parts[-1].base is parts[0].base


def test_arrays_are_read_one_at_a_time(tmp_path: Path) -> None:
    packed = Clusters().pack([np.array([3, 4], np.uint64), np.zeros(0, np.uint64)])
    path = epath.Path(tmp_path) / "shard.npz"
    write_arrays(path, packed)
    stored = read_arrays(path)
    assert set(stored) == set(packed) and len(stored) == len(packed)
    assert {name: stored[name].tolist() for name in stored} == {name: packed[name].tolist() for name in packed}
    assert Clusters().resolve([stored]) == [[False, False]]
