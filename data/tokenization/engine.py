"""Tokenizes a source into stores on one machine, over a pool of processes; a kill loses at most a shard a worker."""

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etils import epath

from data import atomic
from data.census import Census
from data.pool import run_all
from data.progress import Progress
from data.sources.base import Shard
from data.store import TokenStore
from data.store_index import ShardEntry, StoreIndex, finish_index
from data.tokenization.report import REPORT, make_report
from data.tokenization.shard_work import PARTS, WORK, Bad, Job, check_shard, count_characters, tokenize_shard
from data.tokenization.tally import Tally
from data.tokenizers import Tokenizer

Log = Callable[[str], None]


@dataclass(frozen=True)
class Tokenized:
    """What came of it: the stores by part, the report, who the documents are from, and what could not be read."""

    stores: dict[str, TokenStore]
    report: dict[str, Any]
    census: Census
    bad: Bad


def tokenize(job: Job, tokenizer: Tokenizer, workers: int, log: Log) -> Tokenized:
    """Writes the stores and the report of `job`, or goes on where an earlier call was stopped.

    Each shard of the source becomes one shard of each store, so the outcome depends neither on the number of workers
    nor on where the work was stopped. Shards that an earlier call finished are hashed before they are trusted. The
    accounts of the shards stay until `clean`.

    Args:
      job: what to do.
      tokenizer: the one that stands in the job's directory.
      workers: how many processes; with 1 it is done in this one, with the tokenizer's own threads.
      log: prints a line.

    Raises:
      ValueError: when a record cannot be read and may not be skipped, or a part is left without tokens.
      RuntimeError: when a worker process dies.
    """
    began = time.perf_counter()
    directory = epath.Path(job.directory)
    for part in PARTS:
        (directory / part).mkdir(parents=True, exist_ok=True)
        atomic.remove_all_leftovers(directory / part)
    shards = job.source.shards()
    if workers > 1 and len(shards) > 1:
        job = dataclasses.replace(job, threads=1)
    before = characters_before(job, shards, workers, log)
    left = _unfinished(job, shards, workers, log)
    pieces = [(job, number, shards[number], before[-1], before[number]) for number in left]
    with Progress("data: tokenizing", len(pieces), log) as progress:
        for _, (documents, tokens) in run_all(tokenize_shard, pieces, workers):
            progress.advance(documents=documents, tokens=tokens)
    tokenized = _finish(job, shards, tokenizer, log)
    atomic.write_text(directory / REPORT, json.dumps(tokenized.report, indent=1, ensure_ascii=False) + "\n")
    amounts = (f"{len(s):,} tokens of {s.documents:,} documents for {p}" for p, s in tokenized.stores.items())
    log(f"data: tokenized {', '.join(amounts)} in {time.perf_counter() - began:.1f} s, wrote train/ and validation/")
    return tokenized


def clean(job: Job) -> None:
    """Removes the accounts of the shards, once nothing is to go on from them."""
    (epath.Path(job.directory) / WORK).rmtree(missing_ok=True)


def characters_before(job: Job, shards: tuple[Shard, ...], workers: int, log: Log) -> list[int]:
    """How many characters come before each shard, and last how many there are; zeros if the split does not ask.

    What was counted in an earlier call is not counted again.

    Raises:
      ValueError: when a record cannot be read and may not be skipped.
      RuntimeError: when a worker process dies.
    """
    if not job.split.counts_characters:
        return [0] * (len(shards) + 1)
    paths = [job.mark(number).with_suffix(".characters") for number in range(len(shards))]
    pieces = [(job, shards[i], path) for i, path in enumerate(paths) if not path.exists()]
    with Progress("data: counting characters", len(pieces), log) as progress:
        for _, documents in run_all(count_characters, pieces, workers):
            progress.advance(documents=documents)
    before = [0]
    for path in paths:
        before.append(before[-1] + json.loads(path.read_text())["characters"])
    return before


def _unfinished(job: Job, shards: tuple[Shard, ...], workers: int, log: Log) -> list[int]:
    """The shards that are still to be done, or again."""
    marked = [number for number in range(len(shards)) if job.mark(number).exists()]
    if not marked:
        return list(range(len(shards)))
    sound = set()
    pieces = [(job, number, shards[number]) for number in marked]
    for place, problem in run_all(check_shard, pieces, workers):
        if problem:
            log(f"data: {problem}; it is tokenized again")
        else:
            sound.add(marked[place])
    log(f"data: going on in {job.directory}: {len(sound)} of {len(shards)} shards are done")
    return [number for number in range(len(shards)) if number not in sound]


def _finish(job: Job, shards: tuple[Shard, ...], tokenizer: Tokenizer, log: Log) -> Tokenized:
    """Adds up the accounts of the shards, in their order, and makes the shards stores by writing their indexes."""
    tally, census, bad = Tally(tokenizer.vocab_size), Census(), Bad()
    entries: dict[str, list[ShardEntry]] = {part: [] for part in PARTS}
    for number in range(len(shards)):
        mark = json.loads(job.mark(number).read_text())
        for part in PARTS:
            entries[part].append(ShardEntry.read(mark[part]))
        tally.merge(mark["tally"])
        census.merge(mark["census"])
        bad.merge(**mark["bad"])
    if skipped := sum(bad.problems.values()):
        log(f"data: {skipped:,} records cannot be read and are left out; the first: {bad.first}")
        job.bad_input.settle(skipped, census.documents + skipped, bad.first)
    counts = {part: sum(entry.documents for entry in entries[part]) for part in PARTS}
    for part in PARTS:
        if not any(entry.tokens for entry in entries[part]):
            raise ValueError(
                f"{job.split} left nothing for {part} of {counts['train']} training and {counts['validation']}"
                " validation documents; choose another fraction or give more text"
            )
    stores = {}
    for part in PARTS:
        directory = epath.Path(job.directory) / part
        index = StoreIndex(
            tokenizer.vocab_size, tokenizer.hash, tokenizer.separator, tuple(entries[part]), job.grouped_by
        )
        finish_index(directory, index)
        stores[part] = TokenStore(directory)
    return Tokenized(stores, make_report(tokenizer, tally), census, bad)
