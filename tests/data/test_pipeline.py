"""Batches against plain slices of the stream in Python."""

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.packing import BestFit, Packing, Padded, Windows
from data.permutation import subkey
from data.pipeline import RowMaker, TrainPipeline, evaluation_batches
from data.plan import BatchPlan, SourceRows
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import Rows
from data.targets.base import token_fields
from data.timeline import Stage, Timeline

NAMES = ("inputs", "targets", "weights", "segment_ids", "positions")


def write(
    directory: Path, documents: list[list[int]], separator: int | None = 0, vocab_size: int = 100
) -> TokenStore:
    with TokenStoreWriter(
        directory, vocab_size=vocab_size, tokenizer="", separator=separator, shard_tokens=50
    ) as writer:
        for document in documents:
            writer.append(np.array(document, np.int64), len(document))
    return TokenStore(directory)


def corpus(seed: int, documents: int = 30) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 100, rng.integers(0, 25)).tolist() for _ in range(documents)]


def whole(store: TokenStore) -> list[int]:
    return store.tokens(0, len(store)).tolist()


def expected_row(stream: list[int], separator: int | None, start: int, length: int) -> list[list]:
    """One row by the definition, token by token."""
    before = separator if separator is not None else stream[0]
    targets = stream[start : start + length]
    inputs = [stream[start - 1] if start else before, *targets[:-1]]
    segment, position, segments, positions = 1, -1, [], []
    for i, token in enumerate(inputs):
        if i and token == separator:
            segment, position = segment + 1, -1
        position += 1
        segments.append(segment)
        positions.append(position)
    return [inputs, targets, [1.0] * length, segments, positions]


def with_keys(rows: Rows, keys: np.ndarray) -> dict[str, np.ndarray]:
    """Next-token batches that also tell the key of each row."""
    found = {name: array for name, array in rows._asdict().items() if array is not None}
    return found | {"keys": (keys >> np.uint64(33)).astype(np.int32)}


def maker(packing: Packing, length: int) -> RowMaker:
    names = NAMES if packing.keeps_apart else NAMES[:3]
    fields = token_fields(length, *names) | {"keys": token_fields(1, "keys")["keys"]._replace(shape=())}
    return RowMaker(length, packing.keeps_apart, fields, with_keys)


def pipeline_of(
    stores: list[TokenStore],
    packing: Packing,
    length: int,
    timeline: Timeline,
    seed: int,
    host: int = 0,
    hosts: int = 1,
) -> TrainPipeline:
    tables = [packing.training(store, length) for store in stores]
    names = [""] if len(stores) == 1 else list("abcdef")[: len(stores)]
    sources = tuple(SourceRows(name, table.rows) for name, table in zip(names, tables, strict=True))
    return TrainPipeline(BatchPlan(timeline, sources, seed), tables, maker(packing, length), host, hosts)


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("separator", [0, None])
@pytest.mark.parametrize("vocab_size", [100, 70_000])
def test_training_batches(tmp_path: Path, segments: bool, separator: int | None, vocab_size: int) -> None:
    store = write(tmp_path, corpus(0), separator, vocab_size)
    stream, segments = whole(store), segments and separator is not None
    pipeline = pipeline_of([store], Windows(segments), 16, Timeline.alone(6), seed=1)
    steps, seen = [], []
    for step, batch in itertools.islice(pipeline.from_step(3), 12):
        steps.append(step)
        slots = pipeline.plan.slots(step)
        shift = subkey(slots.epoch, np.zeros(1, np.int64)) % np.uint64(16)
        starts = (slots.row * 16 + shift.astype(np.int64)).tolist()
        rows = [expected_row(stream, separator, start, 16) for start in starts]
        for i, name in enumerate(NAMES if segments else NAMES[:3]):
            assert batch[name].dtype == (np.float32 if name == "weights" else np.int32)
            assert batch[name].tolist() == [row[i] for row in rows]
        assert batch["keys"].tolist() == (slots.key >> np.uint64(33)).tolist()
        seen += starts
    assert steps == list(range(3, 15)) and len(set(seen)) > 12


PACKINGS = [Windows(), Windows(segments=True), BestFit(), Padded()]
# One source, and three that take turns in blocks of two steps, with a fourth that joins later.
ALONE = Timeline.alone(6)
MIXED = Timeline(6, [Stage(0, 2, (6, 5, 1, 0)), Stage(40, 1, (2, 2, 1, 1))])


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("timeline", [ALONE, MIXED])
@settings(max_examples=2)
@given(
    start=st.one_of(st.integers(0, 50), st.integers(0, 10**7)),
    hosts=st.sampled_from([2, 3, 6]),
    seed=st.integers(0, 99),
)
def test_any_start_and_any_hosts_give_the_same_batches(
    tmp_path_factory: pytest.TempPathFactory, packing: Packing, timeline: Timeline, start: int, hosts: int, seed: int
) -> None:
    stores = [write(tmp_path_factory.mktemp("store"), corpus(seed + i)) for i in range(timeline.sources)]

    def take(first: int, count: int, host: int = 0, of: int = 1) -> list[dict[str, np.ndarray]]:
        pipeline = pipeline_of(stores, packing, 8, timeline, seed, host, of)
        return [batch for _, batch in itertools.islice(pipeline.from_step(first), count)]

    through = take(start, 4)
    # From the third step on with another number of hosts: a run that was stopped and goes on elsewhere.
    shared = [take(start + 2, 2, host, hosts) for host in range(hosts)]
    for name in through[0]:
        for step in range(2):
            parts = np.concatenate([shared[host][step][name] for host in range(hosts)])
            assert np.array_equal(parts, through[2 + step][name])


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_epoch_of_a_mixture_holds_every_token_of_a_source_once(tmp_path: Path, packing: Packing) -> None:
    documents = [[[i] for i in range(1, 49)], [[i] for i in range(50, 98)]]
    stores = [write(tmp_path / name, own) for name, own in zip("ab", documents, strict=True)]
    pipeline = pipeline_of(stores, packing, 8, Timeline(4, [Stage(0, 1, (1, 3))]), 0)
    batches = list(itertools.islice(pipeline.from_step(0), 50))
    slots = pipeline.plan.slots(0, steps=50)
    targets = np.concatenate([batch["targets"] for _, batch in batches])
    for number, own in enumerate(documents):
        chosen = slots.source == number
        # The batch's places are shuffled, and an epoch may end within a batch.
        whole_epoch = pipeline.plan.sources[number].rows
        first = next(key for key in slots.epoch[chosen] if (slots.epoch == key).sum() == whole_epoch)
        rows = targets[chosen & (slots.epoch == first)]
        found = sorted(token for token in rows.ravel().tolist() if token)
        if isinstance(packing, Windows):
            # A grid of rows, less what the shift of this epoch leaves over.
            assert len(found) == len(set(found)) >= 4 * len(rows) and set(found) <= {i for (i,) in own}
        else:
            assert found == [i for (i,) in own]


@given(
    packing=st.sampled_from(PACKINGS),
    seed=st.integers(0, 99),
    sequence=st.integers(1, 40),
    batch=st.sampled_from([1, 2, 6]),
    hosts=st.sampled_from([1, 2]),
)
def test_evaluation_sees_every_token_once(
    tmp_path_factory: pytest.TempPathFactory, packing: Packing, seed: int, sequence: int, batch: int, hosts: int
) -> None:
    store = write(tmp_path_factory.mktemp("store"), [*corpus(seed), [1]])
    hosts = min(hosts, batch)
    table, made = packing.evaluation(store, sequence), maker(packing, sequence)
    shares = [list(evaluation_batches(table, made, batch, host, hosts)) for host in range(hosts)]
    assert len({len(share) for share in shares}) == 1
    stream, found = whole(store), []
    for parts in zip(*shares, strict=True):
        together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, array in together.items():
            assert array.shape == ((batch,) if name == "keys" else (batch, sequence))
            assert array.dtype == (np.float32 if name == "weights" else np.int32)
        found += together["targets"][together["weights"] > 0].tolist()
    assert sorted(found) == sorted(stream)
    if isinstance(packing, Windows | Padded):
        assert found == stream
    again = list(evaluation_batches(table, made, batch, 0, hosts))
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(again, shares[0], strict=True) for name in a)


def test_tokens_are_read_ahead_by_rows_not_by_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write(tmp_path, corpus(0))
    calls, lock = [], threading.Lock()
    gather = store.gather

    def counted(starts: np.ndarray, length: int) -> np.ndarray:
        with lock:
            calls.append(len(starts))
        return gather(starts, length)

    monkeypatch.setattr(store, "gather", counted)
    list(itertools.islice(pipeline_of([store], Windows(), 8, Timeline.alone(4), 0).from_step(0), 200))
    # 200 steps of 4 rows were asked for. Two reads at most for a group of 64 steps: one for the
    # first window of the stream, one for all others; and not many groups ahead.
    assert sum(calls) >= 200 * 4
    assert len(calls) <= 2 * (4 + 4 + 1 + 1)


@pytest.mark.parametrize("together", [1, 2, 3, 64])
@pytest.mark.parametrize("hosts", [1, 2])
def test_how_many_steps_are_read_together_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int, hosts: int
) -> None:
    monkeypatch.setattr("data.pipeline._STEPS_TOGETHER", together)
    stores = [write(tmp_path / name, corpus(i)) for i, name in enumerate("abcd")]
    for start in (0, 37):
        pipeline = pipeline_of(stores, BestFit(), 8, MIXED, 5, hosts - 1, hosts)
        alone = pipeline_of(stores, BestFit(), 8, MIXED, 5, hosts - 1, hosts)
        alone._together = 1
        pairs = zip(pipeline.from_step(start), alone.from_step(start), strict=False)
        for (step, batch), (other, expected) in itertools.islice(pairs, 7):
            assert step == other
            for name, array in expected.items():
                assert np.array_equal(batch[name], array)


def test_large_steps_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.pipeline._TOKENS_TOGETHER", 70)
    store = write(tmp_path, corpus(0))
    asked, slots = [], BatchPlan.slots
    monkeypatch.setattr(BatchPlan, "slots", lambda plan, *rest: asked.append(rest) or slots(plan, *rest))
    for batch in (1, 4, 8, 16):
        next(pipeline_of([store], Windows(), 8, Timeline.alone(batch), 0).from_step(0))
        assert asked[-1][3] == max(1, 70 // (8 * batch))


def test_bad_arguments(tmp_path: Path) -> None:
    store = write(tmp_path / "a", corpus(0))
    table = Windows().training(store, 8)
    plan = BatchPlan(Timeline.alone(4), (SourceRows("", 9999),), 0)
    with pytest.raises(ValueError, match=r"the plan is for sources of \[9999\] rows, but there are"):
        TrainPipeline(plan, [table], maker(Windows(), 8))
    with pytest.raises(ValueError, match="batch is 4, which cannot be divided evenly among 3 hosts"):
        pipeline_of([store], Windows(), 8, Timeline.alone(4), 0, 0, 3)
    with pytest.raises(ValueError, match="step is -1"):
        pipeline_of([store], Windows(), 8, Timeline.alone(4), 0).from_step(-1)
    with pytest.raises(ValueError, match="batch is 4, which cannot be divided"):
        evaluation_batches(table, maker(Windows(), 8), 4, 0, 3)
    with pytest.raises(ValueError, match="batch is 0"):
        evaluation_batches(table, maker(Windows(), 8), 0)


def test_importing_is_light_and_running_is_quiet(tmp_path: Path) -> None:
    store = write(tmp_path, corpus(0))
    code = f"""
import sys
import data.mixture, data.recipe, data.training
from data.packing import Windows
from data.store import TokenStore
from data.targets import NextToken
from data.timeline import Timeline
assert not {{"tensorflow", "jax"}} & sys.modules.keys(), "heavy import"
store = TokenStore({str(store.directory)!r})
table = Windows().training(store, 8)
plan = data.plan.BatchPlan(Timeline.alone(4), (data.plan.SourceRows("", table.rows),), 0)
fields = NextToken().fields(8)
maker = data.pipeline.RowMaker(8, False, fields, lambda rows, keys: {{name: getattr(rows, name) for name in fields}})
print(next(data.pipeline.TrainPipeline(plan, [table], maker).from_step(7))[0])
"""
    # The environment of a shell: nothing that the tests set to keep libraries quiet.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GRPC_"))
    }
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("7\n", "", 0)
