"""Memory of deduplication in one process: what resolving a join adds to it, a key or a document.

`python -m experiments.benchmarks.join_memory KIND NUMBER` prints the bytes that one join took.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from etils import epath

from data.curation.join import Clusters, FirstOccurrence, Join
from data.curation.passes import read_arrays, write_arrays
from data.curation.substrings import Repeats

# Many, so that making one takes less memory than the join.
_SHARDS = 50
# Of documents or keys, this share is a copy of an earlier one.
_REPEATED = 0.3
_BANDS = 14


def measure(numbers: tuple[int, ...] = (1_000_000, 4_000_000)) -> Iterator[str]:
    """Lines to print: bytes for each further document, between two sizes, so that what is fixed does not count."""
    for kind, (what, share) in {
        "first": ("exact, a key", 1), "clusters": ("near-duplicates, a document", 1), "text": ("passages, a byte", 8)
    }.items():  # fmt: skip
        sizes = [number * share for number in numbers]
        taken = [_elsewhere(kind, size) for size in sizes]
        slope = (taken[1] - taken[0]) / (sizes[1] - sizes[0])
        yield f"memory of deduplication: {what}: {slope:5.1f} bytes (from {sizes[0]:,} and {sizes[1]:,})"


def _elsewhere(kind: str, number: int) -> int:
    command = [sys.executable, "-m", "experiments.benchmarks.join_memory", kind, str(number)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _keys(generator: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    ids = _some_repeated(generator, number)
    return {"high": ids, "low": ids ^ np.uint64(5), "counts": np.ones(number, np.int64)}


def _bands(generator: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    ids = _some_repeated(generator, number)
    bands = {f"band-{band}": ids * np.uint64(2 * band + 3) for band in range(_BANDS)}
    return {"signed": np.ones(number, bool), "bands": np.array(_BANDS)} | bands


def _text(generator: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    words = generator.integers(97, 123, (2000, 6), np.uint8)
    words[:, 5] = 32
    text = words[generator.zipf(1.3, number // 6) % 2000].reshape(-1)
    repeat = text[: text.size // 10]
    text = np.concatenate([text[: text.size - repeat.size], repeat])
    return {"bytes": text, "lengths": np.full(text.size // 2000, 2000, np.int64)}


def _some_repeated(generator: np.random.Generator, number: int) -> np.ndarray:
    ids = generator.integers(1 << 63, size=number, dtype=np.uint64)
    copies = generator.integers(number, size=int(number * _REPEATED))
    # Small ids, which are in every shard.
    ids[copies] = np.arange(len(copies), dtype=np.uint64)
    return ids


_KINDS: dict[str, tuple[Join, Callable[[np.random.Generator, int], dict[str, np.ndarray]]]] = {
    "first": (FirstOccurrence(), _keys),
    "clusters": (Clusters(), _bands),
    "text": (Repeats(200, 1 << 40), _text),
}


def main(kind: str, number: int) -> None:
    """Resolves one join over shards on disk and prints how far its memory rose."""
    join, make = _KINDS[kind]
    with tempfile.TemporaryDirectory() as directory:
        paths = [epath.Path(directory) / f"{shard}.npz" for shard in range(_SHARDS)]
        for seed, path in enumerate(paths):
            write_arrays(path, make(np.random.default_rng(seed), number // _SHARDS))
        shards = [read_arrays(path) for path in paths]
        before = _resident()
        findings = join.resolve(shards)
        print(len(findings), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
