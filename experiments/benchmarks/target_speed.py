"""The input pipeline for each choice of targets: tokens of the stream per second, from a store on local disk."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data.packing import Windows
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
from data.tokenizers import Bytes, sentinels
from data.training import Format
from experiments.benchmarks.input_speed import SEQUENCE, turn, write_store

BATCH = 128
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

    Counted are the tokens of the stream, before any is corrupted. A core is one core's worth of processor time,
    whoever spent it.
    """
    tokenizer = Bytes(special=_SPECIAL).train([])
    forms = {name: Format(Windows(), targets, SEQUENCE) for name, targets in KINDS.items()}
    with tempfile.TemporaryDirectory() as directory:
        store = write_store(Path(directory) / "store", tokenizer, tokens, seed=0)
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
        for _ in range(repeats):
            for name, form in forms.items():
                tables = [form.packing.training(store, form.length)]
                turns[name].append(turn(form, tables, tokenizer, BATCH))
    for name, taken in turns.items():
        wall, processor = (statistics.median(side) for side in zip(*taken, strict=True))
        yield f"{name:30}: {wall / 1e6:6.1f} million tokens/s, {processor / 1e6:6.1f} million tokens/s per core"
