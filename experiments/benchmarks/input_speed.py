"""The input pipeline alone: tokens per second from a store on local disk, with nothing to wait for."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.pipeline import TrainPipeline
from data.plan import BatchPlan
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.tokenizers import Bytes

SEQUENCE = 1024
BATCHES = (8, 32, 128)


def measure(tokens: int, repeats: int) -> Iterator[str]:
    """One line for each batch size; a core is one core's worth of processor time, whoever spent it."""
    with tempfile.TemporaryDirectory() as directory:
        store = write_store(Path(directory) / "store", tokens)
        for batch in BATCHES:
            plan = BatchPlan(len(store), SEQUENCE, batch, seed=0)
            steps = max(1, min(4000, 20_000_000 // (SEQUENCE * batch)))
            turns = [_turn(TrainPipeline(store, plan), steps) for _ in range(repeats)]
            wall, processor = (statistics.median(turn[i] for turn in turns) for i in (0, 1))
            count = steps * batch * SEQUENCE
            yield (
                f"batch {batch:4}: {count / wall / 1e6:6.1f} million tokens/s, "
                f"{count / processor / 1e6:6.1f} million tokens/s per core"
            )


def _turn(pipeline: TrainPipeline, steps: int) -> tuple[float, float]:
    batches = pipeline.from_step(0)
    for _ in range(10):
        next(batches)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    return time.perf_counter() - wall, time.process_time() - processor


def write_store(directory: Path, tokens: int) -> TokenStore:
    """A store of random bytes, in documents of a megabyte."""
    tokenizer = Bytes().train([])
    generator = np.random.default_rng(0)
    with TokenStoreWriter(directory, vocab_size=tokenizer.vocab_size, tokenizer=tokenizer.hash) as writer:
        for start in range(0, tokens, 1 << 20):
            ids = generator.integers(256, size=min(1 << 20, tokens - start)).astype(np.int32)
            writer.append(ids, text_bytes=ids.size)
    return TokenStore(directory)
