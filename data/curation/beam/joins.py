"""Joins as distributed pipelines, from where the signatures of shards lie to findings for their documents.

Each join finds what its `resolve` finds. Keys are cut by value into partitions, each of which one worker holds at
a time; a shard sends a key once, however often it has it, so that a text that is everywhere makes no partition long.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from etils import epath
from jaxtyping import Int64, UInt64

from data.curation.join import (
    Clusters,
    FirstOccurrence,
    Join,
    Parts,
    band_name,
    equal_neighbours,
    seen_before,
    spanning_forest,
)  # fmt: skip
from data.curation.passes import read_arrays

# Of (number of a shard, where its signatures lie); the numbers are in corpus order.
Signed = beam.PCollection
# Of (number of a shard, findings for its documents).
Findings = beam.PCollection

# Parts that the keys of a join are cut into: with 10^11 keys, one is 24 bytes x 10^8.
_PARTITIONS = 1024
# Documents that a shard may have, so that its number and a place in it make one number.
_MOST_DOCUMENTS = 1 << 40


@functools.singledispatch
def resolve(join: Join, signed: Signed) -> Findings:
    """The findings for the documents of every shard.

    A join of no kind that is known here is resolved by one worker, with the memory that its `resolve` takes:
    `Totals`, with one number a name, and `CorpusText`, which has a bounded corpus.
    """
    return signed | "together" >> beam.GroupBy(lambda _: 0) | "resolve" >> beam.FlatMapTuple(
        lambda _, shards: _resolve_here(join, shards)
    )


def _resolve_here(join: Join, shards: Iterable[tuple[int, epath.Path]]) -> Iterator[tuple[int, Sequence[Any]]]:
    ordered = sorted(shards)
    yield from zip(
        (number for number, _ in ordered), join.resolve([read_arrays(path) for _, path in ordered]), strict=True
    )


@resolve.register
def _first_occurrence(join: FirstOccurrence, signed: Signed) -> Findings:
    later = (
        signed
        | "keys" >> beam.FlatMapTuple(_send_keys)
        | "by key" >> beam.GroupByKey()
        | "later" >> beam.FlatMapTuple(_later_keys)
    )
    return {"path": signed, "later": later} | beam.CoGroupByKey() | "findings" >> beam.MapTuple(_seen)


_Keys = tuple[int, Int64[np.ndarray, " _"], UInt64[np.ndarray, " _"], UInt64[np.ndarray, " _"]]


def _send_keys(number: int, path: epath.Path) -> Iterator[tuple[int, _Keys]]:
    arrays = read_arrays(path)
    high, low = arrays["high"], arrays["low"]
    firsts = np.flatnonzero(~seen_before(high, low))
    for partition, places in _partitions(firsts, high):
        yield partition, (number, places, high[places], low[places])


def _later_keys(_: int, sent: Iterable[_Keys]) -> Iterator[tuple[int, Int64[np.ndarray, " _"]]]:
    ordered = sorted(sent, key=lambda keys: keys[0])
    seen = seen_before(*(np.concatenate([keys[half] for keys in ordered]) for half in (2, 3)))
    parts = Parts(seen, np.array([len(keys[1]) for keys in ordered], np.int64))
    for (number, places, *_), part in zip(ordered, parts, strict=True):
        if part.any():
            yield number, places[part]


def _seen(number: int, found: Mapping[str, Iterable[Any]]) -> tuple[int, Parts]:
    (path,) = found["path"]
    arrays = read_arrays(path)
    seen = seen_before(arrays["high"], arrays["low"])
    for places in found["later"]:
        seen[places] = True
    return number, Parts(seen, arrays["counts"])


@resolve.register
def _clusters(join: Clusters, signed: Signed) -> Findings:
    """Clusters across shards are found by one worker from links alone.

    Workers first cut their links down to a forest: one for each document that is in a cluster and not its first.
    This worker then holds at most three links for each such document, at about 90 bytes a link while it works.
    """
    sent = signed | "bands" >> beam.FlatMapTuple(_send_bands).with_outputs("links", main="bands")
    between = sent.bands | "by band" >> beam.GroupByKey() | "link" >> beam.MapTuple(_link_shards)
    repeated = (
        (sent.links, between)
        | "links" >> beam.Flatten()
        | "forest" >> beam.CombineGlobally(_Forest())
        | "by shard" >> beam.FlatMap(_by_shard)
    )
    return {"path": signed, "repeated": repeated} | beam.CoGroupByKey() | "findings" >> beam.MapTuple(_repeated)


_Band = tuple[Int64[np.ndarray, " _"], UInt64[np.ndarray, " _"]]


def _send_bands(number: int, path: epath.Path) -> Iterator[Any]:
    """The values of each band, each once; links between documents of this shard apart."""
    arrays = read_arrays(path)
    documents = number * _MOST_DOCUMENTS + np.flatnonzero(arrays["signed"])
    links = []
    for band in range(int(arrays["bands"])):
        values = arrays[band_name(band)]
        links.append(equal_neighbours(values))
        first = np.ones(values.size, bool)
        first[links[-1][1]] = False
        for partition, places in _partitions(np.flatnonzero(first), values):
            yield band * _PARTITIONS + partition, (documents[places], values[places])
    if links:
        yield beam.pvalue.TaggedOutput("links", documents[spanning_forest(np.concatenate(links, axis=1))])


def _link_shards(_: int, sent: Iterable[_Band]) -> Int64[np.ndarray, "2 _"]:
    documents, values = (np.concatenate(arrays) for arrays in zip(*sent, strict=True))
    return documents[equal_neighbours(values)]


class _Forest(beam.CombineFn):
    """Links between documents, cut down to a spanning forest whenever there are as many fresh ones."""

    def create_accumulator(self) -> list[np.ndarray]:
        return [np.zeros((2, 0), np.int64)]

    def add_input(self, links: list[np.ndarray], more: np.ndarray) -> list[np.ndarray]:
        links.append(more)
        fresh = sum(some.shape[1] for some in links[1:])
        return self.compact(links) if fresh > max(links[0].shape[1], 1 << 16) else links

    def merge_accumulators(self, several: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
        merged = self.create_accumulator()
        for links in several:
            for some in links:
                merged = self.add_input(merged, some)
        return merged

    def compact(self, links: list[np.ndarray]) -> list[np.ndarray]:
        return [spanning_forest(np.concatenate(links, axis=1))]

    def extract_output(self, links: list[np.ndarray]) -> np.ndarray:
        return self.compact(links)[0]


def _by_shard(forest: Int64[np.ndarray, "2 _"]) -> Iterator[tuple[int, Int64[np.ndarray, " _"]]]:
    repeated = np.sort(forest[1])
    numbers, starts = np.unique(repeated // _MOST_DOCUMENTS, return_index=True)
    # Of nothing, np.split makes one part.
    for number, documents in zip(numbers.tolist(), np.split(repeated, starts[1:]), strict=False):
        yield number, documents % _MOST_DOCUMENTS


def _repeated(number: int, found: Mapping[str, Iterable[Any]]) -> tuple[int, list[bool]]:
    (path,) = found["path"]
    repeated = np.zeros(read_arrays(path)["signed"].size, bool)
    for places in found["repeated"]:
        repeated[places] = True
    return number, repeated.tolist()


def _partitions(
    places: Int64[np.ndarray, " _"], keys: UInt64[np.ndarray, " _"]
) -> Iterator[tuple[int, Int64[np.ndarray, " _"]]]:
    """The places of keys, by partition, in ascending order in each."""
    partition = keys[places] % np.uint64(_PARTITIONS)
    order = np.argsort(partition, kind="stable")
    numbers, starts = np.unique(partition[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(places[order], starts[1:]), strict=False)
