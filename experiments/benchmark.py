"""Measures speed: `python -m experiments.benchmark train`, `... data` or `... curate`.

`train`: tokens per second of the training step on this machine's CPU, in float32, against the same
model in PyTorch if that is installed, eager and compiled. Both sides take turns, so that a change in the machine's
speed meets both; a ratio above 1 means that ours is faster.

`data`: tokens per second of the input pipeline alone, from a token store on local disk, and the same for each
choice of what is predicted; and tokenizers against their own libraries.
"""

import dataclasses
import importlib.util
import os
import statistics
from typing import TYPE_CHECKING

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from experiments.benchmarks.shapes import Shape

_REPEATS = flags.DEFINE_integer("repeats", 7, "turns of each side", lower_bound=1)
_SHAPES = flags.DEFINE_list("shapes", ["4x128", "6x384", "12x768", "gpt2"], "models to time")
_FUSED = flags.DEFINE_bool("fused_peer", True, "give the peer PyTorch's one-pass AdamW kernel")
_COMPILED = flags.DEFINE_bool("compiled_peer", False, "time torch.compile too; it needs a C++ compiler")
_TOKENS = flags.DEFINE_integer("tokens", 50_000_000, "tokens in the store of `data`", lower_bound=100_000)
_TEXT = flags.DEFINE_string("text", None, "JSON lines of documents for `curate`; by default Python's documentation")
_DOCUMENTS = flags.DEFINE_integer("documents", 2000, "documents of `curate`", lower_bound=100)
_PEER = flags.DEFINE_string("peer_python", None, "a Python that has datatrove")


def main(argv: list[str]) -> None:
    """Runs one benchmark."""
    known = {"train": train, "data": data, "curate": curate}
    if argv[1] not in known:
        raise console.UsageError(f"there is no benchmark '{argv[1]}'; there are {', '.join(known)}")
    known[argv[1]]()


def train() -> None:
    """Times the training step against its peers, and tells what each process held at the most."""
    from experiments.benchmarks.shapes import SHAPES

    shapes = {shape.name: shape for shape in SHAPES}
    for name in _SHAPES.value:
        if name not in shapes:
            raise console.UsageError(f"there is no shape '{name}'; there are {', '.join(shapes)}")
    peers = [None]
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed, so there is no peer to time: pip install torch==2.13.0")
    else:
        peers = ["eager"] + ["compiled"] * _COMPILED.value
    cores = len(os.sched_getaffinity(0))
    print(f"training step, float32, {cores} cores, median of {_REPEATS.value} turns [lowest, highest ratio]")
    head = f"{'layers x width':15} {'peer':10} {'ours, tokens/s':>15} {'PyTorch':>12} {'ratio':>8}"
    print(f"{head} {'':14} {'peak memory, MB':>16}")
    for name in _SHAPES.value:
        for peer in peers:
            print(_against(shapes[name], peer, cores), flush=True)


def _against(shape: "Shape", peer: str | None, cores: int) -> str:
    from experiments.benchmarks.turns import Side

    settings, repeats = dataclasses.asdict(shape), _REPEATS.value
    with Side("experiments.benchmarks.ours", settings, {"JAX_PLATFORMS": "cpu"}) as ours:
        if peer is None:
            seconds = statistics.median(ours.seconds(shape.steps) for _ in range(repeats))
            rate = shape.steps * shape.tokens / seconds
            return f"{shape.name:15} {'-':10} {rate:15,.0f} {'-':>12} {'-':>8} {'':14} {ours.peak() / 1e6:16,.0f}"
        other = {**settings, "threads": cores, "fused": _FUSED.value, "compiled": peer == "compiled"}
        with Side("experiments.benchmarks.torch_peer", other, {}) as theirs:
            pairs = [(ours.seconds(shape.steps), theirs.seconds(shape.steps)) for _ in range(repeats)]
            peaks = f"{ours.peak() / 1e6:,.0f} : {theirs.peak() / 1e6:,.0f}"
    rates = [shape.steps * shape.tokens / statistics.median(side) for side in zip(*pairs, strict=True)]
    ratios = sorted(b / a for a, b in pairs)
    spread = f"[{ratios[0]:.2f}, {ratios[-1]:.2f}]"
    return (
        f"{shape.name:15} {peer:10} {rates[0]:15,.0f} {rates[1]:12,.0f} {statistics.median(ratios):8.2f} {spread:14} "
        f"{peaks:>16}"
    )


def data() -> None:
    """Times the input pipeline, and tokenizers."""
    from experiments.benchmarks import target_speed, tokenize_speed
    from experiments.benchmarks.input_speed import measure

    print(f"input pipeline, sequence 1,024, store of {_TOKENS.value:,} tokens, median of {_REPEATS.value} turns")
    for figures in measure(_TOKENS.value, _REPEATS.value):
        print(figures, flush=True)
    print(f"tokens of the stream by what is predicted, batches of {target_speed.BATCH} rows")
    for figures in target_speed.measure(_TOKENS.value, _REPEATS.value):
        print(figures, flush=True)
    print("tokenizers on the documentation of Python, from texts to arrays, against their own libraries")
    for figures in tokenize_speed.measure(_REPEATS.value):
        print(figures, flush=True)


def curate() -> None:
    """Times curation against its peer, and measures the memory of its joins."""
    from experiments.benchmarks import curation_speed, join_memory

    repeats = _REPEATS.value if flags.FLAGS["repeats"].present else 3
    for line in curation_speed.measure(_TEXT.value, _DOCUMENTS.value, repeats, _PEER.value):
        print(line, flush=True)
    for line in join_memory.measure():
        print(line, flush=True)


if __name__ == "__main__":
    console.run(main, positionals=("train|data|curate",))
