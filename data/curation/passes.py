"""The passes that a list of transforms takes over a corpus, and one shard's way through one of them.

A transform that judges by the whole corpus ends a pass: its signatures are taken at the end of one, and it is
applied at the start of the next. Between passes documents lie on disk, a file a shard.
"""

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from data import atomic
from data.archive import read_documents, write_documents
from data.curation.account import CurationReport
from data.curation.bad_input import BadInput
from data.curation.chain import Chain
from data.curation.curation import DOCUMENTS
from data.curation.transform import CorpusTransform, Transform
from data.document import Document
from data.sources.base import BadRecord, Record, Shard, Source

# Documents judged at a time: enough for what is faster in batches, few enough to hold.
_TOGETHER = 64


@dataclass(frozen=True)
class Pass:
    """One pass: apply a transform whose findings are at hand, judge alone, take signatures for the next.

    Attributes:
      number: from 0.
      applied: what is applied first, or None in the first pass.
      transforms: what judges documents alone.
      signed: what signatures are taken for, or None in the last pass.
    """

    number: int
    applied: CorpusTransform | None
    transforms: tuple[Transform, ...]
    signed: CorpusTransform | None

    def chain(self) -> Chain:
        """The transforms of this pass, ready to be fed."""
        return Chain(self.transforms, self.applied)


def passes(transforms: Sequence[Transform]) -> list[Pass]:
    """The passes that these transforms take, in order."""
    made: list[Pass] = []
    alone: list[Transform] = []
    applied = None
    for transform in transforms:
        if isinstance(transform, CorpusTransform):
            made.append(Pass(len(made), applied, tuple(alone), transform))
            applied, alone = transform, []
        else:
            alone.append(transform)
    return [*made, Pass(len(made), applied, tuple(alone), None)]


class ShardFiles:
    """Where a shard's part of a pass lies: documents, signatures, and its report, which is written last."""

    def __init__(self, directory: epath.Path, number: int) -> None:
        self.documents = directory / DOCUMENTS / f"shard-{number:05d}.jsonl.zst"
        self.signatures = directory / f"shard-{number:05d}.npz"
        self.report = directory / f"shard-{number:05d}.json"


def run_shard(
    part: Pass, records: Iterable[Record], findings: Sequence[Any], bad_input: BadInput, files: ShardFiles
) -> int:
    """Sends the records of a shard through a pass, writes what comes of them, and returns how many documents came in.

    Args:
      part: the pass.
      records: the shard; of a source in the first pass, of the pass before later.
      findings: what was found out about each document, where the pass applies something.
      bad_input: what to do with records that cannot be read.
      files: where to write.

    Raises:
      ValueError: when a record cannot be read and `bad_input` does not go on without it.
    """
    chain = part.chain()
    report = CurationReport(chain.reports)
    signature = part.signed.start_signature() if part.signed else None
    signatures: list[Any] = []

    def readable() -> Iterator[Document]:
        for record in records:
            if isinstance(record, BadRecord):
                bad_input.meet(record)
                report.bad[record.problem] = report.bad.get(record.problem, 0) + 1
                report.bad_samples.add(record.place, record.problem, record.message)
            else:
                report.collected.count(record)
                yield record

    def curated() -> Iterator[Document]:
        documents = readable()
        for start in itertools.count(0, _TOGETHER):
            batch = list(itertools.islice(documents, _TOGETHER))
            if not batch:
                return
            for document in chain.feed(batch, findings[start : start + len(batch)]):
                if signature:
                    signatures.append(signature(document))
                yield document

    write_documents(files.documents, report.kept.counting(curated()))
    if part.signed:
        write_arrays(files.signatures, part.signed.join.pack(signatures))
    atomic.write_text(files.report, json.dumps(report.to_json(), ensure_ascii=False) + "\n")
    return report.collected.documents


def take_signatures(
    transform: CorpusTransform, records: Iterable[Record]
) -> tuple[int, dict[str, np.ndarray]]:
    """How many documents there are that only come before, and their signatures, packed.

    Raises:
      ValueError: when a record cannot be read.
    """
    signature = transform.start_signature()
    signatures = []
    for record in records:
        if isinstance(record, BadRecord):
            raise ValueError(record.message)
        signatures.append(signature(record))
    return len(signatures), transform.join.pack(signatures)


@dataclass(frozen=True)
class Task:
    """What is done to the shards of one pass, by whoever does it.

    Attributes:
      part: the pass.
      source: where the documents of the first pass come from.
      bad_input: what to do with records that cannot be read.
      before: the directory of the pass before.
      directory: the directory of this pass.
    """

    part: Pass
    source: Source
    bad_input: BadInput
    before: epath.Path
    directory: epath.Path

    def run(self, number: int, shard: Shard, findings: Sequence[Any]) -> int:
        """Sends one shard through the pass. Returns how many documents came in."""
        before = ShardFiles(self.before, number).documents
        records: Iterable[Record] = read_documents(before) if self.part.number else self.source.read(shard)
        return run_shard(self.part, records, findings, self.bad_input, ShardFiles(self.directory, number))

    def signatures(self, number: int) -> epath.Path:
        """Where the signatures lie that the pass before took of a shard."""
        return ShardFiles(self.before, number).signatures

    def earlier_signatures(self, number: int) -> epath.Path:
        """Where the signatures lie of a shard of the corpus that comes before."""
        return ShardFiles(self.before / "earlier", number).signatures

    def sign_earlier(self, number: int, shard: Shard) -> int:
        """Takes the signatures of a shard of the corpus that comes before. Returns how many documents it has."""
        assert self.part.applied is not None
        source = self.part.applied.earlier()
        assert source is not None
        documents, arrays = take_signatures(self.part.applied, source.read(shard))
        write_arrays(self.earlier_signatures(number), arrays)
        return documents


def write_arrays(path: epath.Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes named arrays, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with atomic.writing(path) as file:
        file.write(buffer.getbuffer())


def read_arrays(path: epath.Path) -> Mapping[str, np.ndarray]:
    """The arrays that `write_arrays` wrote; each is read when it is asked for, and not kept."""
    return _StoredArrays(path)


class _StoredArrays(Mapping[str, np.ndarray]):
    def __init__(self, path: epath.Path) -> None:
        self._path = path

    def __getitem__(self, name: str) -> np.ndarray:
        with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays[name]

    def __iter__(self) -> Iterator[str]:
        with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return iter(list(arrays))

    def __len__(self) -> int:
        return len(list(iter(self)))
