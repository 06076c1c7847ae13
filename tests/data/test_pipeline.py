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

from data.pipeline import TrainPipeline, evaluation_batches
from data.plan import BatchPlan
from data.store import TokenStore
from data.store_writer import TokenStoreWriter

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


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("separator", [0, None])
@pytest.mark.parametrize("vocab_size", [100, 70_000])
def test_training_batches(
    tmp_path: Path, shuffle: bool, separator: int | None, vocab_size: int
) -> None:
    store = write(tmp_path, corpus(0), separator, vocab_size)
    plan = BatchPlan(len(store), sequence=16, batch=6, seed=1, shuffle=shuffle)
    with_segments = separator is not None
    pipeline = TrainPipeline(store, plan, segments=with_segments)
    steps = []
    for step, batch in itertools.islice(pipeline.from_step(3), 12):
        steps.append(step)
        names = NAMES if with_segments else NAMES[:3]
        assert set(batch) == set(names)
        rows = [expected_row(whole(store), separator, o, 16) for o in plan.rows(step).tolist()]
        for i, name in enumerate(names):
            assert batch[name].dtype == (np.float32 if name == "weights" else np.int32)
            assert batch[name].tolist() == [row[i] for row in rows]
    assert steps == list(range(3, 15))


def test_every_token_is_a_target_once_in_an_epoch(tmp_path: Path) -> None:
    store = write(tmp_path, [list(range(1, 64))], separator=0)
    plan = BatchPlan(len(store), sequence=16, batch=4, seed=0, shuffle=False)
    ((_, batch),) = itertools.islice(TrainPipeline(store, plan).from_step(0), 1)
    assert batch["targets"].ravel().tolist() == [*range(1, 64), 0]
    assert batch["inputs"].ravel().tolist() == [0, *range(1, 64)]


@settings(max_examples=10)
@given(start=st.integers(0, 10**7), hosts=st.sampled_from([1, 2, 3, 6]), seed=st.integers(0, 99))
def test_any_start_and_any_hosts_give_the_same_batches(
    tmp_path_factory: pytest.TempPathFactory, start: int, hosts: int, seed: int
) -> None:
    store = write(tmp_path_factory.mktemp("store"), corpus(seed))
    plan = BatchPlan(len(store), sequence=8, batch=6, seed=seed)

    def take(first: int, count: int, host: int = 0, of: int = 1) -> list[dict[str, np.ndarray]]:
        pipeline = TrainPipeline(store, plan, host, of, segments=True)
        return [batch for _, batch in itertools.islice(pipeline.from_step(first), count)]

    through = take(start, 4)
    resumed = take(start + 2, 2)
    shared = [take(start, 4, host, hosts) for host in range(hosts)]
    for name in NAMES:
        for step in range(4):
            parts = np.concatenate([shared[host][step][name] for host in range(hosts)])
            assert np.array_equal(parts, through[step][name])
        for step in range(2):
            assert np.array_equal(resumed[step][name], through[2 + step][name])


@given(
    seed=st.integers(0, 99),
    sequence=st.integers(1, 40),
    batch=st.sampled_from([1, 2, 6]),
    hosts=st.sampled_from([1, 2]),
    separator=st.sampled_from([0, None]),
)
def test_evaluation_sees_every_token_once_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    sequence: int,
    batch: int,
    hosts: int,
    separator: int | None,
) -> None:
    store = write(tmp_path_factory.mktemp("store"), [*corpus(seed), [1]], separator)
    hosts = min(hosts, batch)
    segments = separator is not None
    shares = [
        list(evaluation_batches(store, sequence, batch, host, hosts, segments))
        for host in range(hosts)
    ]
    assert len({len(share) for share in shares}) == 1
    stream, found = whole(store), []
    for parts in zip(*shares, strict=True):
        together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, array in together.items():
            assert array.shape == (batch, sequence)
            assert array.dtype == (np.float32 if name == "weights" else np.int32)
        for row in range(batch):
            length = int(together["weights"][row].sum())
            assert together["weights"][row].tolist() == [1] * length + [0] * (sequence - length)
            expected = expected_row(stream, separator, len(found), length) if length else [[]] * 5
            for i, name in enumerate(NAMES if segments else NAMES[:3]):
                assert together[name][row, :length].tolist() == expected[i]
            if segments:
                assert not together["segment_ids"][row, length:].any()
            found += together["targets"][row, :length].tolist()
    assert found == stream


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
    plan = BatchPlan(len(store), sequence=8, batch=4, seed=0)
    list(itertools.islice(TrainPipeline(store, plan).from_step(0), 200))
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
    store = write(tmp_path, corpus(0))
    plan = BatchPlan(len(store), sequence=8, batch=4, seed=5)
    stream = whole(store)
    for start in (0, 5):
        pipeline = TrainPipeline(store, plan, hosts - 1, hosts, segments=True)
        for step, batch in itertools.islice(pipeline.from_step(start), 7):
            starts = plan.rows(step, hosts - 1, hosts).tolist()
            rows = [expected_row(stream, 0, o, 8) for o in starts]
            for i, name in enumerate(NAMES):
                assert batch[name].tolist() == [row[i] for row in rows]


def test_large_steps_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.pipeline._TOKENS_TOGETHER", 70)
    store = write(tmp_path, corpus(0))
    shapes = []
    monkeypatch.setattr(
        BatchPlan, "rows", lambda plan, *_: shapes.append(_) or np.zeros(_[3] * plan.batch, np.int64)
    )
    for batch in (1, 4, 8, 16):
        next(TrainPipeline(store, BatchPlan(len(store), 8, batch, 0)).from_step(0))
        assert shapes[-1][3] == max(1, 70 // (8 * batch))


def test_bad_arguments(tmp_path: Path) -> None:
    store = write(tmp_path / "a", corpus(0))
    plain = write(tmp_path / "b", corpus(0), separator=None)
    empty = write(tmp_path / "c", [])
    plan = BatchPlan(len(store), sequence=8, batch=4, seed=0)
    with pytest.raises(ValueError, match="the plan is for 9999 tokens, but .* holds"):
        TrainPipeline(store, BatchPlan(9999, 8, 4, 0))
    with pytest.raises(
        ValueError, match="batch is 4, which cannot be divided evenly among 3 hosts"
    ):
        TrainPipeline(store, plan, host=0, hosts=3)
    with pytest.raises(ValueError, match="segments is True, but .* has no separator"):
        TrainPipeline(plain, BatchPlan(len(plain), 8, 4, 0), segments=True)
    with pytest.raises(ValueError, match="step is -1"):
        TrainPipeline(store, plan).from_step(-1)
    with pytest.raises(ValueError, match="holds no tokens to evaluate on"):
        evaluation_batches(empty, 8, 4)
    with pytest.raises(ValueError, match="batch is 4, which cannot be divided"):
        evaluation_batches(store, 8, 4, 0, 3)
    with pytest.raises(ValueError, match="sequence is 0"):
        evaluation_batches(store, 0, 4)


def test_importing_is_light_and_running_is_quiet(tmp_path: Path) -> None:
    store = write(tmp_path, corpus(0))
    code = f"""
import sys
import data.recipe, data.pipeline, data.plan
from data.store import TokenStore
assert not {{"tensorflow", "jax"}} & sys.modules.keys(), "heavy import"
store = TokenStore({str(store.directory)!r})
plan = data.plan.BatchPlan(len(store), 8, 4, 0)
print(next(data.pipeline.TrainPipeline(store, plan).from_step(7))[0])
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
