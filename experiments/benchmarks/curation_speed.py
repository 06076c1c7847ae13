"""Curation against datatrove: heuristic filters and near-duplicates over the same documents on the same cores."""

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from data.curation import NearDuplicates
from data.curation.curation import Curation
from data.curation.engine import curate
from data.curation.quality import C4Rules, FineWebQuality, GopherQuality, GopherRepetition
from data.document import Document
from data.sources import JsonLines, PythonDocs

# All that datatrove's rules and MinHash import; with xxhash 4 it fails, since that takes no strings.
PEER_NEEDS = "datatrove 'xxhash<4' fasteners nltk orjson regex spacy tldextract tokenizers"
_SHARDS = 8
_CHARACTERS = 2200
# Rounds over the same text differ in every fourth word, so that each has other runs of five.
_MARKED = 4
# Every tenth document comes again with one word changed.
_REPEATED = 10


def measure(text: str | None, documents: int, repeats: int, peer_python: str | None) -> Iterator[str]:
    """Lines to print: both sides' documents per second, their ratio, and how many documents each leaves.

    Args:
      text: JSON lines of documents, or None for pieces of Python's documentation.
      documents: how many to curate; if there are fewer they are taken again, with other words.
      repeats: turns of each side.
      peer_python: a Python with datatrove, or None.
    """
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        size = _write(root / "in", text, documents)
        yield f"curation, {workers} workers, {documents:,} documents of {size / documents:,.0f} bytes, {repeats} turns"
        turns = []
        for turn in range(repeats):
            ours = _ours(root / "in", root / f"ours-{turn}", workers)
            theirs = _theirs(root / "in", root / f"theirs-{turn}", workers, peer_python) if peer_python else None
            turns.append((ours, theirs))
    rates = [documents / seconds for (seconds, _), _ in turns]
    yield f"ours       {_spread(rates)} documents/s, leaves {turns[0][0][1]:,}"
    if not peer_python:
        yield f"datatrove  not timed: give --peer_python, a Python that has it: pip install {PEER_NEEDS}"
        return
    pairs = [(ours[0], theirs[0]) for ours, theirs in turns if theirs]
    yield f"datatrove  {_spread([documents / theirs for _, theirs in pairs])} documents/s, leaves {turns[0][1][1]:,}"
    ratios = [theirs / ours for ours, theirs in pairs]
    yield f"ratio      {statistics.median(ratios):9.2f} [{min(ratios):.2f}, {max(ratios):.2f}]; above 1, ours is faster"


def _ours(source: Path, out: Path, workers: int) -> tuple[float, int]:
    transforms = (GopherRepetition(), GopherQuality(), C4Rules(), FineWebQuality(), NearDuplicates())
    began = time.perf_counter()
    corpus = curate(Curation(JsonLines(source), transforms), out, workers, log=lambda line: None)
    seconds = time.perf_counter() - began
    return seconds, sum(group["documents"] for group in corpus.report["kept"])


def _theirs(source: Path, out: Path, workers: int, python: str) -> tuple[float, int]:
    script = Path(__file__).with_name("datatrove_peer.py")
    command = [python, str(script), str(source), str(out), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("> "):
            seconds, kept = line[2:].split()
            return float(seconds), int(kept)
    raise RuntimeError(f"{python} {script.name} gave no result: {done.stderr[-2000:]}")


def _write(folder: Path, text: str | None, documents: int) -> int:
    """Writes the documents in as many files as make the work even. Returns the bytes of their text."""
    folder.mkdir()
    size = 0
    with contextlib.ExitStack() as stack:
        paths = [folder / f"{number}.jsonl" for number in range(_SHARDS)]
        files = [stack.enter_context(path.open("w", encoding="utf-8")) for path in paths]
        for number, body in enumerate(itertools.islice(_texts(text), documents)):
            size += len(body.encode())
            files[number % _SHARDS].write(json.dumps({"text": body, "id": str(number)}, ensure_ascii=False) + "\n")
    return size


def _texts(text: str | None) -> Iterator[str]:
    originals = [document.text for document in JsonLines(text).documents()] if text else list(_pieces())
    for turn in itertools.count():
        for number, original in enumerate(originals):
            body = _marked(original, turn, _MARKED) if turn else original
            yield body
            if number % _REPEATED == 0:
                yield _marked(body, 0, body.count(" ") + 1)


def _marked(text: str, mark: int, every: int) -> str:
    words = text.split(" ")
    words[every - 1 :: every] = [f"{mark}{word}" for word in words[every - 1 :: every]]
    return " ".join(words)


def _pieces() -> Iterator[str]:
    """Python's documentation, paragraph after paragraph, in documents of the length of web pages."""
    for document in PythonDocs().documents():
        yield from _cut(document)


def _cut(document: Document) -> Iterator[str]:
    piece: list[str] = []
    for paragraph in document.text.split("\n\n"):
        piece.append(paragraph)
        if sum(map(len, piece)) >= _CHARACTERS:
            yield "\n\n".join(piece)
            piece = []


def _spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):9,.1f} [{min(rates):,.1f}, {max(rates):,.1f}]"
