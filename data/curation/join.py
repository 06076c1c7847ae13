"""Joins: what is found out about each document by looking at all of them, from small signatures.

The order of documents decides ties, so that a join gives the same however the work is cut. In one process the
memory of a join is that of its signatures, stated with each; `data.curation.beam` has the distributed forms.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64


class Join(abc.ABC):
    """How the signatures of all documents become one finding for each."""

    @abc.abstractmethod
    def pack(self, signatures: Sequence[Any]) -> dict[str, np.ndarray]:
        """The signatures of the documents of a shard as arrays, to be kept on disk."""

    @abc.abstractmethod
    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[list[Any]]:
        """For each shard, the finding for each of its documents; shards and documents in corpus order."""


class FirstOccurrence(Join):
    """Which keys of a document occurred before, in an earlier document or earlier in it.

    Signature: uint64 [keys, 2], 128-bit hashes, any number of them. Finding: bool [keys].
    Memory: 33 bytes a key while it runs, and 8 a document.
    """

    def pack(self, signatures: Sequence[UInt64[np.ndarray, "_ 2"]]) -> dict[str, np.ndarray]:
        counts = np.array([len(signature) for signature in signatures], np.int64)
        return {"keys": np.concatenate([np.zeros((0, 2), np.uint64), *signatures]), "counts": counts}

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[list[Bool[np.ndarray, " _"]]]:
        keys = np.concatenate([np.zeros((0, 2), np.uint64), *(shard["keys"] for shard in shards)])
        seen = seen_before(keys)
        by_shard = _parts(seen, np.array([len(shard["keys"]) for shard in shards], np.int64))
        return [_parts(part, shard["counts"]) for part, shard in zip(by_shard, shards, strict=True)]


class Clusters(Join):
    """Whether a document is not the first of its cluster: documents are linked by any equal band, at any remove.

    Signature: uint64 [bands], the same number for every document, or of length 0 for one that is like no other.
    Finding: bool. Memory: 8 bytes a band and about 40 bytes more a document while it runs, and 24 bytes a link;
    there are fewer links than documents times bands, and few where there are few near-duplicates.
    """

    def pack(self, signatures: Sequence[UInt64[np.ndarray, " _"]]) -> dict[str, np.ndarray]:
        valid = np.array([len(signature) > 0 for signature in signatures], bool)
        whole = [signature for signature in signatures if len(signature)]
        bands = np.stack(whole) if whole else np.zeros((0, 0), np.uint64)
        return {"bands": bands, "valid": valid}

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[list[bool]]:
        valid = np.concatenate([np.zeros(0, bool), *(shard["valid"] for shard in shards)])
        filled = [shard["bands"] for shard in shards if shard["bands"].size]
        repeated = np.zeros(valid.size, bool)
        if filled:
            repeated[valid] = not_first_of_cluster(np.concatenate(filled))
        ends = np.cumsum([len(shard["valid"]) for shard in shards])
        return [part.tolist() for part in np.split(repeated, ends[:-1])]


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

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[list[Mapping[str, float]]]:
        sums = add_up([dict(zip(s["names"].tolist(), s["sums"].tolist(), strict=True)) for s in shards])
        return [[sums] * int(shard["documents"]) for shard in shards]


class CorpusText(Join):
    """Something about each document for which all texts have to lie side by side: for bounded corpora.

    Signature: the text as UTF-8 bytes. Finding: what `compare` says of each.
    Memory: the corpus, and what `compare` needs.
    """

    @abc.abstractmethod
    def compare(self, texts: Sequence[UInt8[np.ndarray, " bytes"]]) -> list[Any]:
        """A finding for each text; the texts are in corpus order."""

    def pack(self, signatures: Sequence[bytes]) -> dict[str, np.ndarray]:
        lengths = np.array([len(text) for text in signatures], np.int64)
        return {"bytes": np.frombuffer(b"".join(signatures), np.uint8), "lengths": lengths}

    def resolve(self, shards: Sequence[Mapping[str, np.ndarray]]) -> list[list[Any]]:
        texts = [text for shard in shards for text in _parts(shard["bytes"], shard["lengths"])]
        found = iter(self.compare(texts))
        return [[next(found) for _ in shard["lengths"]] for shard in shards]


def _parts(whole: np.ndarray, lengths: Int64[np.ndarray, " parts"]) -> list[np.ndarray]:
    """Views of consecutive parts of these lengths."""
    ends = np.cumsum(lengths).tolist()
    return [whole[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def seen_before(keys: UInt64[np.ndarray, "keys 2"]) -> Bool[np.ndarray, " keys"]:
    """Which rows are equal to an earlier row."""
    order = np.argsort(keys[:, 0], kind="stable")
    same_half = keys[order[1:], 0] == keys[order[:-1], 0]
    same = same_half & (keys[order[1:], 1] == keys[order[:-1], 1])
    if not np.array_equal(same, same_half):
        # Two keys that share a half lie mixed; only a sort by both halves tells them apart.
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        same = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    seen = np.zeros(len(keys), bool)
    seen[order[1:]] = same
    return seen


def not_first_of_cluster(bands: UInt64[np.ndarray, "documents bands"]) -> Bool[np.ndarray, " documents"]:
    """Which documents are in a cluster with an earlier one."""
    links = []
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        same = band[order[1:]] == band[order[:-1]]
        links.append(np.stack([order[:-1][same], order[1:][same]]))
    return clusters(np.concatenate(links, axis=1), len(bands))


def clusters(links: Int64[np.ndarray, "2 links"], documents: int) -> Bool[np.ndarray, " documents"]:
    """Which documents are linked, at any remove, to an earlier one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(links.shape[1], np.int8), (links[0], links[1])), (documents, documents))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    repeated = np.ones(documents, bool)
    repeated[first] = False
    return repeated


def add_up(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sums by name, in the order of the names."""
    sums: dict[str, float] = {}
    for mapping in counts:
        for name, value in mapping.items():
            sums[name] = sums.get(name, 0.0) + value
    return dict(sorted(sums.items()))
