"""One shard's way from documents to tokens, in whichever process does it."""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from etils import epath

from data import atomic
from data.census import Census
from data.curation import BadInput, Refuse
from data.document import Document
from data.group_by import GroupBy
from data.sources.base import BadRecord, Record, Shard, Source
from data.split import Part, Split
from data.store_index import ShardEntry, shard_path
from data.store_writer import ShardWriter
from data.tokenization.tally import Tally
from data.tokenizers import Tokenizer, load_tokenizer

PARTS: tuple[Part, ...] = ("train", "validation")
WORK = ".tokenizing"
# Characters encoded at a time: enough for the tokenizer's threads, little beside the text.
_TOGETHER = 1 << 22


@dataclass
class Bad:
    """Records that could not be read and were skipped: how often each problem, and the first of all."""

    problems: dict[str, int] = field(default_factory=dict)
    first: str = ""

    def count(self, record: BadRecord) -> None:
        """Counts one record."""
        self.merge({record.problem: 1}, record.message)

    def merge(self, problems: Mapping[str, int], first: str) -> None:
        """Adds those of later documents."""
        for problem, number in problems.items():
            self.problems[problem] = self.problems.get(problem, 0) + number
        self.first = self.first or first


@dataclass(frozen=True)
class Job:
    """What is the same for all shards.

    Attributes:
      source: where the documents are.
      split: what is held out.
      directory: where `tokenizer/` stands, and `train/` and `validation/` will.
      tokenizer: the hash of the tokenizer that stands there.
      bad_input: what to do with records that cannot be read.
      threads: of the tokenizer, in each process; None for one a core.
      groups: what documents are grouped by; None if by nothing.
    """

    source: Source
    split: Split
    directory: str
    tokenizer: str
    bad_input: BadInput = Refuse()
    threads: int | None = None
    groups: GroupBy | None = None

    @property
    def grouped_by(self) -> str:
        """What documents are grouped by, as the index says it; empty if by nothing."""
        return "" if self.groups is None else repr(self.groups)

    def mark(self, number: int) -> epath.Path:
        """Where the account of a shard stands once it is done: it is written last."""
        return epath.Path(self.directory) / WORK / f"shard-{number:05d}.json"


def count_characters(job: Job, shard: Shard, path: epath.Path) -> int:
    """Writes to `path` how many characters the texts of a shard have; returns how many documents there are.

    Raises:
      ValueError: when a record cannot be read and may not be skipped.
    """
    documents = characters = 0
    for document in readable(job.source.read(shard), job.bad_input, Bad()):
        documents += 1
        characters += len(document.text)
    atomic.write_text(path, json.dumps({"characters": characters}) + "\n")
    return documents


def tokenize_shard(job: Job, number: int, shard: Shard, characters: int, before: int) -> tuple[int, int]:
    """Writes shard `number` of both stores, then its mark; returns how many documents and tokens there are.

    Args:
      job: what to do.
      number: of the shard, in the source and in the stores.
      shard: what to read.
      characters, before: of all texts, and of those in earlier shards; what the split asks for.

    Raises:
      ValueError: when a record cannot be read and may not be skipped, a text cannot be encoded, or documents
        cannot be grouped.
    """
    tokenizer, fallback = _tokenizer(str(epath.Path(job.directory) / "tokenizer"), job.tokenizer)
    writers = {
        part: ShardWriter(
            epath.Path(job.directory) / part, number, tokenizer.vocab_size, tokenizer.separator, job.grouped_by
        )
        for part in PARTS
    }
    tally, census, bad = Tally(tokenizer.vocab_size), Census(), Bad()
    try:
        documents = census.counting(readable(job.source.read(shard), job.bad_input, bad))
        for batch in _batches(job.split.divide(documents, characters, before)):
            texts = [document.text for _, document in batch]
            encoded = tokenizer.encode_batch(texts, job.threads)
            sizes = [len(text) if text.isascii() else len(text.encode("utf-8")) for text in texts]
            for part, writer in writers.items():
                own = [i for i, (its, _) in enumerate(batch) if its == part]
                groups = None if job.groups is None else [job.groups.of(batch[i][1]) for i in own]
                writer.append([encoded[i] for i in own], [sizes[i] for i in own], groups)
            tally.add([document for _, document in batch], encoded, sizes, fallback)
            for _, document in batch:
                if not tally.wants_more():
                    break
                tally.try_round_trip(tokenizer, document)
        entries = {part: writer.close().written() for part, writer in writers.items()}
    except BaseException:
        for writer in writers.values():
            writer.discard()
        raise
    mark = {"shard": shard.name, "tokenizer": job.tokenizer, "bad": asdict(bad), **entries}
    mark |= {"tally": tally.to_json(), "census": census.to_json()}
    atomic.write_text(job.mark(number), json.dumps(mark, ensure_ascii=False) + "\n")
    return sum(e["documents"] for e in entries.values()), sum(e["tokens"] for e in entries.values())


def check_shard(job: Job, number: int, shard: Shard) -> str:
    """What is wrong with a finished shard, by its mark and the hashes of its files; empty if nothing is."""
    path = job.mark(number)
    try:
        mark: dict[str, Any] = json.loads(path.read_text())
        if (mark["shard"], mark["tokenizer"]) != (shard.name, job.tokenizer):
            return f"{path} is of another shard or tokenizer"
        for part in PARTS:
            entry = ShardEntry.read(mark[part])
            for kind, expected in entry.hashes.items():
                file = shard_path(epath.Path(job.directory) / part, number, kind)
                if not file.exists():
                    return f"{file} is missing"
                if sha256(file) != expected:
                    return f"{file} is corrupt: it is not what {path.name} says was written"
    except (ValueError, KeyError, TypeError) as error:
        return f"{path} is unreadable: {error!r}"
    return ""


def sha256(path: epath.Path) -> str:
    """The hash of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()


@functools.lru_cache(1)
def _tokenizer(directory: str, expected: str) -> tuple[Tokenizer, np.ndarray | None]:
    """The tokenizer and which of its ids fall back, if any do: read once in each process.

    The hash tells one corpus's tokenizer from another's.
    """
    tokenizer = load_tokenizer(directory)
    if tokenizer.hash != expected:
        raise ValueError(f"{directory} holds the tokenizer {tokenizer.hash[:12]}..., not {expected[:12]}... any more")
    fallback = tokenizer.fallback()
    return tokenizer, fallback if fallback.any() else None


def readable(records: Iterable[Record], bad_input: BadInput, bad: Bad) -> Iterator[Document]:
    """The documents among the records; the others are counted in `bad`.

    Raises:
      ValueError: when a record cannot be read and may not be skipped.
    """
    for record in records:
        if isinstance(record, BadRecord):
            bad_input.meet(record)
            bad.count(record)
        else:
            yield record


def _batches(divided: Iterable[tuple[Part, Document]]) -> Iterator[list[tuple[Part, Document]]]:
    batch, size = [], 0
    for part, document in divided:
        batch.append((part, document))
        size += len(document.text)
        if size >= _TOGETHER:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
