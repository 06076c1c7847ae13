"""Our side of the training benchmark: the step that `python -m train` runs, on random tokens."""

import json
import sys
import time

from data import console

console.quiet()

import jax
import numpy as np

from data.targets import NextToken
from experiments.benchmarks.shapes import Shape
from experiments.benchmarks.turns import serve
from model.attention import Attention
from model.feedforward import MLP
from model.norms import LayerNorm
from model.positions import Learned
from model.precision import Precision
from model.transformer import TransformerConfig
from sharding.host_memory import keep_freed_memory, one_program_at_a_time
from sharding.placements import DataParallel
from train.feed import abstract_batch, to_devices
from train.objective import CrossEntropy
from train.optimizers import AdamW
from train.schedule import WarmupCosine
from train.state import Blueprint, abstract_state, fresh_state
from train.step import compile_step, make_step


def model_of(shape: Shape) -> TransformerConfig:
    """The model of a shape."""
    return TransformerConfig(
        layers=shape.layers,
        embed=shape.embed,
        vocab=shape.vocab,
        attention=Attention(heads=shape.heads, positions=Learned(shape.context)),
        feedforward=MLP(hidden=4 * shape.embed, activation="gelu"),
        norm=LayerNorm(),
        precision=Precision(compute="float32"),
    )


def main() -> None:
    """Compiles the step and serves it."""
    one_program_at_a_time()
    keep_freed_memory()
    shape = Shape(**json.loads(sys.argv[1]))
    layout = DataParallel().on(jax.devices()[:1])
    blueprint = Blueprint(model_of(shape))
    schedule = WarmupCosine(peak=1e-3, warmup=100).over(100_000)
    optimizer = AdamW().transform(schedule, blueprint.table)
    rows = abstract_batch(NextToken().fields(shape.context), shape.batch, layout)
    step = make_step(blueprint, CrossEntropy(), optimizer, schedule, seed=0)
    state = fresh_state(blueprint, optimizer, layout, seed=0)
    compiled = compile_step(step, abstract_state(blueprint, optimizer, layout), rows, layout)
    tokens = np.random.default_rng(0).integers(shape.vocab, size=(shape.batch, shape.context + 1)).astype(np.int32)
    weights = np.ones((shape.batch, shape.context), np.float32)
    batch = to_devices({"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}, layout)

    def run(steps: int) -> float:
        nonlocal state
        began = time.perf_counter()
        for _ in range(steps):
            state, metrics = compiled(state, batch)
        jax.block_until_ready((state, metrics))
        return time.perf_counter() - began

    serve(run)


if __name__ == "__main__":
    main()
