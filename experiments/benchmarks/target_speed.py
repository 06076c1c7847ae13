"""The input pipeline for each choice of targets: tokens of the stream per second, from a store on local disk."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.packing import Windows
from data.pipeline import TrainPipeline
from data.plan import BatchPlan, SourceRows
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import (
    UL2,
    DecoderOnly,
    FillInTheMiddle,
    MaskedLM,
    NextToken,
    PrefixLM,
    SpanCorruption,
    Targets,
    WholeWords,
)
from data.timeline import Timeline
from data.tokenizers import Bytes, Tokenizer, sentinels
from data.training import Format

SEQUENCE = 1024
BATCH = 128
# Tokens timed at a time, at most: enough for a second or so.
_TURN = 8_000_000
_DOCUMENT = 1000
_WORD = 6
_SPECIAL = ("<mask>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "[R]", "[S]", "[X]", *sentinels(300))
KINDS: dict[str, Targets] = {
    "NextToken": NextToken(),
    "PrefixLM": PrefixLM(),
    "SpanCorruption, EncoderDecoder": SpanCorruption(),
    "SpanCorruption, DecoderOnly": SpanCorruption(layout=DecoderOnly()),
    "UL2, EncoderDecoder": UL2(),
    "UL2, DecoderOnly": UL2(layout=DecoderOnly()),
    "MaskedLM": MaskedLM(),
    "MaskedLM, WholeWords": MaskedLM(unit=WholeWords()),
    "FillInTheMiddle": FillInTheMiddle(),
}


def measure(tokens: int, repeats: int) -> Iterator[str]:
    """One line for each choice; choices take turns, so that a change in the machine's speed meets all.

    A core is one core's worth of processor time, whoever spent it.
    """
    tokenizer = Bytes(special=_SPECIAL).train([])
    with tempfile.TemporaryDirectory() as directory:
        store = write_store(Path(directory) / "store", tokenizer, tokens)
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
        for _ in range(repeats):
            for name, targets in KINDS.items():
                turns[name].append(_turn(store, tokenizer, Format(Windows(), targets, SEQUENCE)))
    for name, taken in turns.items():
        wall, processor = (statistics.median(side) for side in zip(*taken, strict=True))
        yield f"{name:32}: {wall / 1e6:6.1f} million tokens/s, {processor / 1e6:6.1f} million tokens/s per core"


def _turn(store: TokenStore, tokenizer: Tokenizer, form: Format) -> tuple[float, float]:
    table = form.packing.training(store, form.length)
    plan = BatchPlan(Timeline.alone(BATCH), (SourceRows("", table.rows),), seed=0)
    batches = TrainPipeline(plan, [table], form.maker(tokenizer)).from_step(0)
    for _ in range(10):
        next(batches)
    steps = max(1, min(_TURN, len(store)) // (BATCH * form.length))
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    count = steps * BATCH * form.length
    return count / (time.perf_counter() - wall), count / (time.process_time() - processor)


def write_store(directory: Path, tokenizer: Tokenizer, tokens: int) -> TokenStore:
    """A store of random bytes in words of about 6 and documents of about 1,000, each with its separator."""
    generator = np.random.default_rng(0)
    with TokenStoreWriter(
        directory, vocab_size=tokenizer.vocab_size, tokenizer=tokenizer.hash, separator=tokenizer.separator
    ) as writer:
        written = 0
        while written < tokens:
            size = int(generator.geometric(1 / _DOCUMENT))
            ids = generator.integers(256, size=size).astype(np.int32)
            ids[generator.random(size) < 1 / _WORD] = ord(" ")
            writer.append(ids, text_bytes=size)
            written += size + 1
    return TokenStore(directory)
