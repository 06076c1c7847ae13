"""Measures speed: `python -m experiments.benchmark train`, `... data` or `... curate`.

`train`: tokens per second of the training step on this machine's CPU, in float32, against the same
model in eager PyTorch if that is installed. Both sides take turns, so that a change in the machine's
speed meets both; a ratio above 1 means that ours is faster.

`data`: tokens per second of the input pipeline alone, from a token store on local disk, and the same for each
choice of what is predicted; and tokenizers against their own libraries.
"""

import dataclasses
import importlib.util
import os
import statistics

from absl import flags

from data import console

console.quiet()

_REPEATS = flags.DEFINE_integer("repeats", 7, "turns of each side", lower_bound=1)
_SHAPES = flags.DEFINE_list("shapes", ["4x128", "6x384", "12x768"], "models to time")
_FUSED = flags.DEFINE_bool("fused_peer", True, "give the peer PyTorch's one-pass AdamW kernel")
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
    """Times the training step against its peer."""
    from experiments.benchmarks.shapes import SHAPES
    from experiments.benchmarks.turns import Side

    shapes = {shape.name: shape for shape in SHAPES}
    for name in _SHAPES.value:
        if name not in shapes:
            raise console.UsageError(f"there is no shape '{name}'; there are {', '.join(shapes)}")
    cores = len(os.sched_getaffinity(0))
    peer = importlib.util.find_spec("torch") is not None
    if not peer:
        print("PyTorch is not installed, so there is no peer to time: pip install torch==2.13.0")
    print(f"training step, float32, {cores} cores, median of {_REPEATS.value} turns [lowest, highest]")
    print(f"{'layers x width':15} {'ours, tokens/s':>15} {'PyTorch eager':>15} {'ratio':>8}")
    for name in _SHAPES.value:
        shape = shapes[name]
        settings = dataclasses.asdict(shape)
        alone = {"JAX_PLATFORMS": "cpu"}
        with Side("experiments.benchmarks.ours", settings, alone) as ours:
            if not peer:
                rate = statistics.median(
                    shape.steps * shape.tokens / ours.seconds(shape.steps) for _ in range(_REPEATS.value)
                )
                print(f"{name:15} {rate:15,.0f} {'-':>15} {'-':>8}", flush=True)
                continue
            other = {**settings, "threads": cores, "fused": _FUSED.value}
            with Side("experiments.benchmarks.torch_peer", other, {}) as theirs:
                pairs = [(ours.seconds(shape.steps), theirs.seconds(shape.steps)) for _ in range(_REPEATS.value)]
        rates = [shape.steps * shape.tokens / statistics.median(side) for side in zip(*pairs, strict=True)]
        ratios = sorted(b / a for a, b in pairs)
        print(
            f"{name:15} {rates[0]:15,.0f} {rates[1]:15,.0f} {statistics.median(ratios):8.2f} "
            f"[{ratios[0]:.2f}, {ratios[-1]:.2f}]",
            flush=True,
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
