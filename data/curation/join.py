"""Joins: what is found out about each document by looking at all of them, from small signatures.

The order of documents decides ties, so that a join gives the same however the work is cut. In one process the
memory of a join is that of its signatures, stated with each; `data.curation.beam` has the distributed forms.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped, UInt8, UInt64


class Join(abc.ABC):
    """How the signatures of all documents become one finding for each."""

    @abc.abstractmethod
    def pack(self, signatures: Sequence[Any]) -> dict[str, np.ndarray]:
        """The signatures of the documents of a shard as arrays, to be kept on disk."""

    @abc.abstractmethod
    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[Sequence[Any]]:
        """For each shard, the finding for each of its documents; shards and documents in corpus order."""


class FirstOccurrence(Join):
    """Which keys of a document occurred before, in an earlier document or earlier in it.

    Signature: uint64 [keys, 2], 128-bit hashes, any number of them. Finding: bool [keys].
    Memory: 42 bytes for a document of one key, by `python -m experiments.benchmark curate`.
    """

    def pack(self, signatures: Sequence[UInt64[np.ndarray, "_ 2"]]) -> dict[str, np.ndarray]:
        keys = np.concatenate([np.zeros((0, 2), np.uint64), *signatures])
        counts = np.array([len(signature) for signature in signatures], np.int64)
        return {"high": keys[:, 0], "low": keys[:, 1], "counts": counts}

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[Sequence[Bool[np.ndarray, " _"]]]:
        counts = [shard["counts"] for shard in shards]
        seen = seen_before(_joined(shards, "high", np.uint64), _joined(shards, "low", np.uint64))
        by_shard = Parts(seen, np.array([count.sum() for count in counts], np.int64))
        return [Parts(part, count) for part, count in zip(by_shard, counts, strict=True)]


class Clusters(Join):
    """Whether a document is not the first of its cluster: documents are linked by any equal band, at any remove.

    Signature: uint64 [bands], the same number for every document, or of length 0 for one that is like no other.
    Finding: bool.
    Memory: XX bytes a document, however many bands there are, where one in four is a near-duplicate; by
    `python -m experiments.benchmark curate`.
    """

    def pack(self, signatures: Sequence[UInt64[np.ndarray, " _"]]) -> dict[str, np.ndarray]:
        signed = np.array([len(signature) > 0 for signature in signatures], bool)
        bands = np.stack([s for s in signatures if len(s)], axis=1) if signed.any() else ()
        return {"signed": signed, "bands": np.array(len(bands))} | {band_name(i): band for i, band in enumerate(bands)}

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[Sequence[bool]]:
        masks = [shard["signed"] for shard in shards]
        filled = [shard for shard in shards if int(shard["bands"])]
        signed = np.concatenate([np.zeros(0, bool), *masks])
        first = np.arange(np.count_nonzero(signed))
        for number in range(int(filled[0]["bands"]) if filled else 0):
            links = first[equal_neighbours(_joined(filled, band_name(number), np.uint64))]
            # Most bands repeat what the first of them said.
            root, joins = spanning_forest(links[:, links[0] != links[1]])
            first[joins] = root
            first = first[first]
        repeated = np.zeros(signed.size, bool)
        repeated[signed] = first != np.arange(first.size)
        return [part.tolist() for part in Parts(repeated, np.array([mask.size for mask in masks], np.int64))]


class Totals(Join):
    """The sums over the whole corpus of what each document counts.

    Signature: mapping of names to numbers. Finding: the same for every document, mapping of names to sums.
    Memory: one number a name.
    """

    def pack(self, signatures: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
        sums = add_up(signatures)
        return {
            "names": np.array(list(sums), np.str_),
            "sums": np.array(list(sums.values()), np.float64),
            "documents": np.array(len(signatures)),
        }

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[Sequence[Mapping[str, float]]]:
        sums = add_up([dict(zip(s["names"].tolist(), s["sums"].tolist(), strict=True)) for s in shards])
        return [[sums] * int(shard["documents"]) for shard in shards]


class CorpusText(Join):
    """Something about each document for which all texts have to lie side by side: for bounded corpora.

    Signature: the text as UTF-8 bytes. Finding: what `compare` says of each.
    Memory: the corpus, and what `compare` needs.
    """

    @abc.abstractmethod
    def compare(self, texts: Sequence[UInt8[np.ndarray, " _"]]) -> list[Any]:
        """A finding for each text; the texts are in corpus order."""

    def pack(self, signatures: Sequence[bytes]) -> dict[str, np.ndarray]:
        lengths = np.array([len(text) for text in signatures], np.int64)
        return {"bytes": np.frombuffer(b"".join(signatures), np.uint8), "lengths": lengths}

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[Sequence[Any]]:
        texts = [text for shard in shards for text in Parts(shard["bytes"], shard["lengths"])]
        found = iter(self.compare(texts))
        return [[next(found) for _ in shard["lengths"]] for shard in shards]


class Parts(Sequence[np.ndarray]):
    """Consecutive parts of an array, made when they are asked for: a view a document would outweigh what it shows.

    Args:
      whole: the array.
      lengths: of the parts; together that of the array.
    """

    def __init__(self, whole: Shaped[np.ndarray, " _"], lengths: Int64[np.ndarray, " _"]) -> None:
        self._whole, self._ends = whole, np.cumsum(lengths)
        self._lengths = lengths

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return self._whole[self._ends[place] - self._lengths[place] : self._ends[place]]


def band_name(number: int) -> str:
    """What a band is called among the packed arrays of `Clusters`."""
    return f"band-{number}"


def seen_before(high: UInt64[np.ndarray, " keys"], low: UInt64[np.ndarray, " keys"]) -> Bool[np.ndarray, " keys"]:
    """Which keys are equal, in both halves, to an earlier one."""
    order = np.argsort(high, kind="stable")
    same_half = _equals_next(high[order])
    # Two keys that share one half only lie mixed; a sort by both halves tells them apart.
    if not np.array_equal(same_half, same_half & _equals_next(low[order])):
        order = np.lexsort((low, high))
        same_half = _equals_next(high[order]) & _equals_next(low[order])
    seen = np.zeros(len(high), bool)
    seen[order[1:]] = same_half
    return seen


def equal_neighbours(values: UInt64[np.ndarray, " _"]) -> Int64[np.ndarray, "2 _"]:
    """Links from each place but the last of equal values to the next."""
    order = np.argsort(values, kind="stable")
    same = _equals_next(values[order])
    return np.stack([order[:-1][same], order[1:][same]])


def spanning_forest(links: Int64[np.ndarray, "2 _"]) -> Int64[np.ndarray, "2 _"]:
    """A link to every node that hangs together with a smaller one, from the smallest: the same clusters by the
    fewest links.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, compact = np.unique(links, return_inverse=True)
    compact = compact.reshape(2, -1)
    graph = coo_array((np.ones(compact.shape[1], np.int8), (compact[0], compact[1])), (nodes.size, nodes.size))
    _, labels = connected_components(graph, directed=False)
    _, smallest = np.unique(labels, return_index=True)
    root = smallest[labels]
    others = np.flatnonzero(root != np.arange(nodes.size))
    return np.stack([nodes[root[others]], nodes[others]])


def add_up(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sums by name, in the order of the names."""
    sums: dict[str, float] = {}
    for mapping in counts:
        for name, value in mapping.items():
            sums[name] = sums.get(name, 0.0) + value
    return dict(sorted(sums.items()))


def _joined(shards: Sequence[Mapping[str, np.ndarray]], name: str, dtype: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(shard[name] for shard in shards)])


def _equals_next(values: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, " _"]:
    return values[1:] == values[:-1]
