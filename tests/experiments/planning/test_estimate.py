"""Memory by closed form, against the TPU compiler's own figures and against counting."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from data.console import UsageError
from experiments.planning.estimate import Estimate, Traces, computed, estimate
from experiments.planning.kept import read
from experiments.planning.results import Result
from experiments.planning.shown import Plan, every
from model.masks import SlidingWindow
from model.mixing import Interleaved
from sharding.topology import parse_topology
from train.load import load_experiment
from train.program import Programs

GPT2 = ("gpt2_124m", "v5e:2x2")
LLAMA = ("llama3_8b", "v5e:4x4", "model.attention.kernel=none", "model.layers=8", "batch.batch=32",
         "batch.evaluation=32", "batch.sequence=2048")  # fmt: skip
LLAMA2 = ("llama2_7b", "v5e:16x16", "batch.accumulate=1")
LLAMA31 = ("llama3_1_8b", "v6e:4x4")
DEEPSEEK = ("deepseek_v3", "v5p:8x8x8", "batch.accumulate=1", "model.remat=full")
MIXTRAL = ("mixtral_8x7b", "v5p:4x4x4", "batch.accumulate=1", "model.remat=full")
EIGHT, FOUR = "placement=Combined(expert=8,fsdp=8)", "placement=Combined(expert=4,fsdp=16)"
DROPLESS = "model.feedforward.dispatch=Dropless()"


def of(name: str, topology: str, *changes: str) -> Estimate:
    try:
        devices = parse_topology(topology).devices()
    except UsageError as error:
        pytest.skip(str(error))
    _, experiment = load_experiment(name, changes)
    layout = experiment.placement.on(devices)
    return estimate(experiment, Programs.of(experiment, layout).abstract, layout)


def rows(number: int) -> tuple[str, str]:
    return f"batch.batch={number}", f"batch.evaluation={number}"


# Bytes that libtpu 0.0.52 planned for the step as `python -m sharding.plan` compiles it: "Total bytes" of the
# memory-usage report that XLA_FLAGS=--xla_dump_to=DIR leaves. The last is of docs/notebook.md.
COMPILED: dict[tuple[str, ...], int] = {
    (*GPT2, *rows(64), "model.remat=full"): 4_303_145_984,
    (*LLAMA, "model.remat=full"): 7_228_405_248,
    (*GPT2, *rows(64), "model.remat=none"): 11_575_309_312,
    (*GPT2, *rows(128), "model.remat=minimal"): 9_527_955_456,
    (*LLAMA, "model.remat=save_attention"): 7_500_871_168,
    (*LLAMA, "objective.chunk=256", "model.remat=minimal"): 8_830_927_872,
    (*LLAMA2, "model.remat=save_qkv_attention"): int(12.58 * 2**30),
    # What `python -m sharding.plan --json` wrote as memory.peak of the config with these changes.
    ("llama_125m", "v5e:4x4", "batch.accumulate=1"): 11_359_762_944,
    (*LLAMA2, "batch.batch=512"): 13_647_891_968,
    (*LLAMA2, "batch.batch=512", "model.remat=save_query_attention"): 5_006_855_680,
    (*LLAMA2, "batch.batch=256", "objective.chunk=1024", "model.remat=save_qkv"): 3_256_680_448,
    # The same with `--schedule` besides.
    ("llama2_7b", "v5p:4x4x4", "batch.sequence=4096", "batch.batch=256", "batch.accumulate=1"): 55_046_033_152,
    (*LLAMA31, "batch.batch=16", "batch.evaluation=16", "objective.chunk=1024", "model.remat=full"): 13_887_287_072,
    ("llama3_1_8b", "v6e:16x16", "objective.chunk=1024"): 25_562_395_904,
    ("llama3_1_8b", "v6e:16x16", "objective.chunk=2048"): 25_478_362_368,
    MIXTRAL: 40_002_224_416,
    DEEPSEEK: 51_558_731_328,
    (*DEEPSEEK, *rows(512)): 41_129_661_504,
    (*DEEPSEEK, "model.feedforward.rest.dispatch.buffer=2.0"): 54_377_305_664,
    (*DEEPSEEK, "placement=ShardedOptimizer(data=1,fsdp=16,expert=32)"): 52_106_026_560,
    (*MIXTRAL, EIGHT, DROPLESS): 46_541_214_496,
    (*MIXTRAL, FOUR, DROPLESS): 46_549_010_208,
    (*MIXTRAL, DROPLESS): 39_465_171_232,
    (*MIXTRAL, EIGHT): 41_685_210_400,
    (*MIXTRAL, FOUR): 39_874_971_424,
    (*MIXTRAL, EIGHT, DROPLESS, "model.remat=save_attention"): 54_266_794_784,
    ("llama3_1_8b_1m", "v5p:8x8x8"): 12_737_293_056,
    ("llama3_1_8b_1m", "v5p:8x8x8", "model.remat=save_products"): 53_461_756_672,
}


QUICK = [case for case in COMPILED if "model.remat=full" in case[-1] and case[:2] != LLAMA31]


@pytest.mark.parametrize("case", QUICK)
def test_agrees_with_the_compiler(case: tuple[str, ...]) -> None:
    assert of(*case).peak == pytest.approx(COMPILED[case], rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in COMPILED if case not in QUICK])
def test_agrees_with_the_compiler_for_other_policies(case: tuple[str, ...]) -> None:
    assert of(*case).peak == pytest.approx(COMPILED[case], rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("plan", every(), ids=lambda plan: plan.key)
def test_agrees_with_what_is_shown(plan: Plan) -> None:
    results = read(Path(__file__).resolve().parents[3] / "docs" / "tpu.json", Result)
    found = of(plan.config, plan.topology, *plan.changes)
    assert found.peak / 2**30 == pytest.approx(results[plan.key].gib, rel=0.1)


def small(config: str, *changes: str) -> tuple[Any, Estimate]:
    _, experiment = load_experiment(config, changes)
    layout = experiment.placement.on()
    return experiment, estimate(experiment, Programs.of(experiment, layout).abstract, layout)


# The small decoder: two tables; in each of 4 layers queries and output of 4 heads of 128, keys and values of 2, a gated
# feed-forward layer of 1536, and two scales; a scale at the end.
EMBED, VOCAB, LAYERS = 512, 8192, 4
NORMS = (2 * LAYERS + 1) * EMBED
WEIGHTS = 2 * VOCAB * EMBED + LAYERS * (EMBED * 128 * (4 + 2 + 2 + 4) + 3 * EMBED * 1536) + NORMS
DEVICES, ROWS, SEQUENCE = 8, 64, 256


def test_state_is_exact(config: str) -> None:
    _, found = small(config)
    # Weights and both moments in float32, over 8 devices; on each a few counters, of step, optax and guard.
    assert 0 < found.state - 3 * 4 * WEIGHTS // DEVICES < 64
    assert found.gradients == 4 * WEIGHTS // DEVICES
    assert found.accumulated == 0
    # Inputs, targets and weights of a row, in 4 bytes each.
    assert found.batch == 3 * 4 * ROWS * SEQUENCE // DEVICES


def test_full_rematerialisation_keeps_the_stream(config: str) -> None:
    _, found = small(config)
    assert found.activations == 2 * LAYERS * EMBED * ROWS * SEQUENCE // DEVICES


def test_what_is_named_is_kept(config: str) -> None:
    _, full = small(config)
    _, kept = small(config, "model.remat=save_qkv")
    # Queries of 4 heads, keys and values of 2, of 128 features in bfloat16.
    assert kept.activations - full.activations == 2 * LAYERS * (4 + 2 + 2) * 128 * ROWS * SEQUENCE // DEVICES


def test_micro_batches_keep_less_and_add_gradients(config: str) -> None:
    _, whole = small(config)
    _, parts = small(config, "batch.accumulate=4")
    assert parts.activations * 4 == whole.activations
    assert parts.accumulated == whole.gradients


def test_a_trace_serves_other_meshes_and_batches(config: str) -> None:
    traces, found = Traces(), []
    for changes in ((), ("batch.accumulate=2",), ("placement=Combined(fsdp=2,tensor=2,data=2)",)):
        _, experiment = load_experiment(config, changes)
        layout = experiment.placement.on()
        state = Programs.of(experiment, layout).abstract
        alone = estimate(experiment, state, layout)
        assert estimate(experiment, state, layout, traces).peak == pytest.approx(alone.peak, rel=1e-3)
        found.append(alone)
    assert found[2].activations == 2 * found[0].activations


def test_logits_are_counted_whole_or_by_chunk(config: str) -> None:
    _, whole = small(config, "placement=DataParallel()")
    _, chunked = small(config, "placement=DataParallel()", "objective.chunk=64")
    # In float32, and the table's gradient.
    table = 4 * EMBED * VOCAB
    assert whole.logits == 4 * ROWS * SEQUENCE * VOCAB // DEVICES + table
    assert chunked.logits == 4 * ROWS * 64 * VOCAB // DEVICES + table
    # Of a divided sequence a chunk has places of each part; its table is divided and gathered in bfloat16.
    _, divided = small(config, "placement=Combined(context=4,data=2,fsdp=1)", "objective.chunk=64")
    assert divided.logits == 4 * ROWS * 64 * VOCAB // DEVICES + (4 + 2) * EMBED * VOCAB


def test_a_ring_keeps_a_share_of_what_attention_gives(config: str) -> None:
    ring = "placement=Combined(context=4,fsdp=2)"
    _, full = small(config, ring)
    _, kept = small(config, ring, "model.remat=save_attention")
    # Of 4 heads 128 features in bfloat16, and in float32 the log of a softmax's sum.
    assert kept.activations - full.activations == LAYERS * 4 * (2 * 128 + 4) * ROWS * SEQUENCE // DEVICES


MEDIUM = ("model.layers=6", "model.embed=1024", "model.vocab=16384", "model.attention.heads=8",
          "model.attention.kv_heads=4", "model.attention.kernel=none", "model.feedforward.hidden=4096",
          "batch.sequence=1024", "batch.batch=32", "batch.evaluation=32")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("placement", "peak"),
    # As above, `python -m sharding.plan --config=FILE --topology=v5e:2x2` with these changes.
    [("Combined(fsdp=4)", 1_414_852_096), ("Combined(tensor=4,fsdp=1)", 1_513_201_664)],
)
def test_agrees_with_the_compiler_on_small_meshes(config: str, placement: str, peak: int) -> None:
    assert of(config, "v5e:2x2", *MEDIUM, f"placement={placement}").peak == pytest.approx(peak, rel=0.1)


def test_blocks_of_one_loop_are_counted_one_by_one(config: str) -> None:
    _, plain = load_experiment(config)
    attention = plain.model.attention
    windows = dataclasses.replace(attention, mask=SlidingWindow(64))
    model = dataclasses.replace(plain.model, attention=Interleaved((windows, attention)))
    both = dataclasses.replace(plain, model=model)
    layout = plain.placement.on()
    of_one, of_two = (computed(each, layout, Traces()).widest for each in (plain, both))
    assert of_one == pytest.approx(of_two, rel=1e-3)
