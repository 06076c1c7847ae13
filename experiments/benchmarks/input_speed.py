"""The input pipeline alone: tokens per second from stores on local disk, with nothing to wait for."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from data.packing import BestFit, Packing, Padded, RowTable, Windows
from data.pipeline import TrainPipeline
from data.plan import BatchPlan, SourceRows
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import NextToken
from data.timeline import Stage, Timeline
from data.tokenizers import Bytes, Tokenizer
from data.training import Format

SEQUENCE = 1024
BATCHES = (8, 32, 128)
# Timed at a time: enough for a second or so.
_TURN = 10_000_000
# Lengths of documents as on the web: log-normal, with a median of about 400 tokens.
_LENGTHS = (6.0, 1.0)
_WORD = 6
# Shares of four sources: the last has less than a row in a step of the smallest batch.
_SHARES = (60, 25, 14, 1)
KINDS: Mapping[str, tuple[Packing, int]] = {
    "Windows()": (Windows(), 1),
    "Windows(segments=True)": (Windows(segments=True), 1),
    "BestFit()": (BestFit(), 1),
    "Padded()": (Padded(), 1),
    "BestFit(), 4 sources": (BestFit(), 4),
}


def measure(tokens: int, repeats: int) -> Iterator[str]:
    """Lines on packing, then one for each kind and batch size; kinds take turns, so that a change in the
    machine's speed meets all.

    Padding is not counted. A core is one core's worth of processor time, whoever spent it.
    """
    tokenizer = Bytes().train([])
    with tempfile.TemporaryDirectory() as directory:
        each = tokens // len(_SHARES)
        stores = [write_store(Path(directory) / str(n), tokenizer, each, n) for n in range(len(_SHARES))]
        forms = {name: Format(packing, NextToken(), SEQUENCE) for name, (packing, _) in KINDS.items()}
        tables = {name: _tables(forms[name], stores[:sources]) for name, (_, sources) in KINDS.items()}
        yield from packed(stores[0])
        for batch in BATCHES:
            turns: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
            for _ in range(repeats):
                for name, form in forms.items():
                    turns[name].append(turn(form, tables[name], tokenizer, batch))
            for name, taken in turns.items():
                wall, processor = (statistics.median(side) for side in zip(*taken, strict=True))
                yield (
                    f"batch {batch:4}, {name:22}: {wall / 1e6:6.1f} million tokens/s, "
                    f"{processor / 1e6:6.1f} million tokens/s per core"
                )


def packed(store: TokenStore) -> Iterator[str]:
    """Lines on what packing makes of a store: how full rows are, what is cut, how long planning takes."""
    ends = store.document_ends()
    lengths = np.diff(ends, prepend=0)
    cut = {
        # A window cuts a document that begins in it and does not end there.
        "Windows()": np.count_nonzero((ends - lengths) // SEQUENCE != (ends - 1) // SEQUENCE),
        "BestFit()": np.count_nonzero(lengths > SEQUENCE),
        "Padded()": np.count_nonzero(lengths > SEQUENCE),
    }
    for name, count in cut.items():
        began = time.perf_counter()
        table = KINDS[name][0].evaluation(store, SEQUENCE)
        seconds = time.perf_counter() - began
        yield (
            f"{name:10}: {table.tokens / table.rows / SEQUENCE:7.2%} full, {count / ends.size:6.1%} of documents cut, "
            f"planned in {seconds:.3f} s ({ends.size / seconds / 1e6:,.1f} million documents/s)"
        )


def _tables(form: Format, stores: list[TokenStore]) -> list[RowTable]:
    return [form.packing.training(store, form.length) for store in stores]


def turn(form: Format, tables: list[RowTable], tokenizer: Tokenizer, batch: int) -> tuple[float, float]:
    """Tokens per second of one pipeline, padding left out: by the clock, and by the processor's time."""
    timeline = Timeline.alone(batch)
    if len(tables) > 1:
        timeline = Timeline(batch, [Stage(0, 100, tuple(share * batch for share in _SHARES))])
    sources = tuple(SourceRows(str(number), table.rows) for number, table in enumerate(tables))
    batches = TrainPipeline(BatchPlan(timeline, sources, seed=0), tables, form.maker(tokenizer)).from_step(0)
    for _ in range(10):
        next(batches)
    steps = max(1, _TURN // (SEQUENCE * batch))
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    full = sum(table.tokens for table in tables) / sum(table.rows for table in tables)
    count = steps * batch * full
    return count / (time.perf_counter() - wall), count / (time.process_time() - processor)


def write_store(directory: Path, tokenizer: Tokenizer, tokens: int, seed: int) -> TokenStore:
    """A store of random bytes, in words of about 6 and documents as long as those of the web."""
    generator = np.random.default_rng(seed)
    with TokenStoreWriter(
        directory, vocab_size=tokenizer.vocab_size, tokenizer=tokenizer.hash, separator=tokenizer.separator
    ) as writer:
        written = 0
        while written < tokens:
            size = int(generator.lognormal(*_LENGTHS)) + 1
            ids = generator.integers(256, size=size).astype(np.int32)
            ids[generator.random(size) < 1 / _WORD] = ord(" ")
            writer.append(ids, text_bytes=size)
            written += size + 1
    return TokenStore(directory)
