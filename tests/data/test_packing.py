"""Rows against slices of the stream, token by token."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from data.packing import BestFit, Packing, Padded, RowTable, Windows, empty_rows
from data.packing.bins import best_fit_decreasing
from data.packing.kept import kept
from data.packing.pieces import Pieces, cut
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import Rows

SEPARATOR = 0


def write(directory: Path, sizes: list[int], separator: int | None = SEPARATOR, vocab_size: int = 5000) -> TokenStore:
    """Documents of these sizes, less their separators; every token is another, so that it can be found again."""
    count = 1
    with TokenStoreWriter(
        directory, vocab_size=vocab_size, tokenizer="", separator=separator, shard_tokens=50
    ) as writer:
        for size in sizes:
            writer.append(np.arange(count, count + size), size)
            count += size
    return TokenStore(directory)


def sizes(seed: int, documents: int = 30, largest: int = 40) -> list[int]:
    return np.random.default_rng(seed).integers(0, largest, documents).tolist()


def read(table: RowTable, length: int, numbers: list[int] | None = None, epoch: int = 0, apart: bool = True) -> Rows:
    chosen = np.arange(table.rows) if numbers is None else np.array(numbers, np.int64)
    rows = empty_rows(chosen.size, length, apart)
    table.fill(rows, slice(None), chosen, np.full(chosen.size, epoch, np.uint64))
    return rows


def whole(store: TokenStore) -> list[int]:
    return store.tokens(0, len(store)).tolist()


def pieces_of(rows: Rows, number: int) -> list[tuple[list[int], list[int]]]:
    """The inputs and targets of each segment of a row, after checking all that numbers them."""
    length = int(rows.weights[number].sum())
    assert rows.weights[number].tolist() == [1] * length + [0] * (rows.weights.shape[1] - length)
    for array in filter(lambda array: array is not None, rows):
        assert not array[number, length:].any()
    ids = rows.segment_ids[number, :length].tolist()
    assert ids == sorted(ids) and set(ids) == set(range(1, max(ids, default=0) + 1))
    found = []
    for segment in range(1, max(ids, default=0) + 1):
        at = np.flatnonzero(rows.segment_ids[number] == segment)
        assert rows.positions[number, at].tolist() == list(range(at.size))
        found.append((rows.inputs[number, at].tolist(), rows.targets[number, at].tolist()))
    return found


@pytest.mark.parametrize("packing", [BestFit(), Padded()])
@given(seed=st.integers(0, 99), length=st.integers(1, 50))
def test_whole_documents(tmp_path_factory: pytest.TempPathFactory, packing: Packing, seed: int, length: int) -> None:
    documents = sizes(seed)
    store = write(tmp_path_factory.mktemp("store"), documents)
    table, stream = packing.training(store, length), whole(store)
    rows = read(table, length)
    assert table.tokens == len(store)
    found = [piece for number in range(table.rows) for piece in pieces_of(rows, number)]
    # Each piece is a stretch of one document, cut where the definition cuts it.
    expected, start = [], 0
    for size in documents:
        for begin in range(start, start + size + 1, length):
            end = min(begin + length, start + size + 1)
            before = stream[begin - 1] if begin else SEPARATOR
            expected.append(([before, *stream[begin : end - 1]], stream[begin:end]))
        start += size + 1
    assert sorted(found, key=str) == sorted(expected, key=str)
    if isinstance(packing, Padded):
        assert found == expected


@given(seed=st.integers(0, 99), length=st.integers(1, 30), epoch=st.integers(0, 5))
def test_windows_of_an_epoch_are_one_grid(
    tmp_path_factory: pytest.TempPathFactory, seed: int, length: int, epoch: int
) -> None:
    store = write(tmp_path_factory.mktemp("store"), [*sizes(seed), 60])
    table, stream = Windows().training(store, length), whole(store)
    rows = read(table, length, epoch=epoch, apart=False)
    assert rows.segment_ids is None and rows.positions is None
    flat = rows.targets.ravel().tolist()
    shift = next(s for s in range(length) if stream[s : s + len(flat)] == flat)
    before = stream[shift - 1] if shift else SEPARATOR
    assert rows.inputs.ravel().tolist() == [before, *stream[shift : shift + len(flat) - 1]]
    assert rows.weights.all() and table.rows == (len(stream) - length + 1) // length


def test_shifts_are_uniform(tmp_path: Path) -> None:
    store = write(tmp_path, [30])
    table = Windows().training(store, 16)
    assert table.rows == 1
    rows = empty_rows(10_000, 16, False)
    table.fill(rows, slice(None), np.zeros(10_000, np.int64), np.arange(10_000).astype(np.uint64))
    counts = np.bincount(rows.targets[:, 0], minlength=17)[1:]
    # Chi-squared of 16 equal cells: 15 in the mean, with a variance of 30.
    assert ((counts - 625) ** 2 / 625).sum() < 15 + 5 * np.sqrt(30)


@given(seed=st.integers(0, 99), length=st.integers(1, 30), segments=st.booleans())
def test_held_out_windows_are_the_whole_stream(
    tmp_path_factory: pytest.TempPathFactory, seed: int, length: int, segments: bool
) -> None:
    store = write(tmp_path_factory.mktemp("store"), [*sizes(seed), 3])
    stream = whole(store)
    table = Windows(segments).evaluation(store, length)
    rows = read(table, length, apart=segments)
    real = rows.weights.ravel() > 0
    assert rows.targets.ravel()[real].tolist() == stream
    assert rows.inputs.ravel()[real].tolist() == [SEPARATOR, *stream[:-1]]
    assert not rows.inputs.ravel()[~real].any() and not rows.targets.ravel()[~real].any()
    if segments:
        found = [piece for number in range(table.rows) for piece in pieces_of(rows, number)]
        for inputs, _ in found:
            assert SEPARATOR not in inputs[1:]
        begins = sum(i % length == 0 or before == SEPARATOR for i, before in enumerate([SEPARATOR, *stream[:-1]]))
        assert len(found) == begins


@pytest.mark.parametrize("packing", [Windows(), Windows(segments=True), BestFit(), Padded()])
def test_rows_go_where_they_are_told(tmp_path: Path, packing: Packing) -> None:
    store = write(tmp_path, sizes(3))
    table = packing.training(store, 16)
    wanted = read(table, 16, [5, 1, 7], epoch=9, apart=packing.keeps_apart)
    rows = empty_rows(6, 16, packing.keeps_apart)
    table.fill(rows, np.array([4, 0, 3]), np.array([5, 1, 7]), np.full(3, 9, np.uint64))
    for found, expected in zip(rows, wanted, strict=True):
        if found is not None:
            assert np.array_equal(found[[4, 0, 3]], expected)
            assert not found[[1, 2, 5]].any()


def test_without_a_separator_the_first_token_stands_before_itself(tmp_path: Path) -> None:
    store = write(tmp_path, [40], separator=None)
    rows = read(Windows().evaluation(store, 16), 16, apart=False)
    assert rows.inputs.ravel()[:40].tolist() == [1, *range(1, 40)]


def test_natural_lengths_fill_rows_and_few_documents_are_cut() -> None:
    """Documents as long as on the web: log-normal, median 400 tokens, of which a few are longer than a row."""
    lengths = np.random.default_rng(0).lognormal(6, 1, 20_000).astype(np.int64) + 1
    ends, length = np.cumsum(lengths), 2048
    _, pieces = cut(ends, length)
    rows = best_fit_decreasing(pieces, length).max() + 1
    assert ends[-1] / (rows * length) >= 0.99
    # Windows cut a document that begins in one of them and ends in another.
    by_windows = np.count_nonzero((ends - lengths) // length != (ends - 1) // length)
    by_best_fit = np.count_nonzero(lengths > length)
    assert pieces.size - lengths.size >= by_best_fit
    assert by_best_fit < by_windows / 5


def test_planning_takes_a_few_bytes_for_each_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = np.cumsum(np.random.default_rng(0).lognormal(6, 1, 200_000).astype(np.int64) + 1)
    store = write(tmp_path, [9])
    monkeypatch.setattr(store, "document_ends", lambda: ends.copy())
    tracemalloc.start()
    try:
        BestFit().evaluation(store, 2048)
        assert tracemalloc.get_traced_memory()[1] / 200_000 < 70
    finally:
        tracemalloc.stop()


def test_a_plan_is_made_once(tmp_path: Path) -> None:
    store = write(tmp_path / "store", sizes(4))
    directory = epath.Path(tmp_path / "packing")
    first = read(BestFit().training(store, 16, directory), 16)
    files = sorted(path.name for path in directory.iterdir())
    assert len(files) == 3 and all(name.startswith("best_fit1-") and name.endswith(".npy") for name in files)
    pieces = kept(directory / files[0].rsplit("-", 1)[0], lambda: pytest.fail("it was made before"))
    assert isinstance(pieces, Pieces)
    for found in (BestFit().training(store, 16, directory), BestFit().training(store, 16)):
        for array, wanted in zip(read(found, 16), first, strict=True):
            assert np.array_equal(array, wanted)
    # What is damaged is made again; where nothing can be written, a plan is made for the moment.
    (directory / files[0]).write_bytes(b"no array")
    assert BestFit().training(store, 16, directory).rows == len(first.inputs)
    (tmp_path / "file").write_text("")
    assert BestFit().training(store, 16, epath.Path(tmp_path / "file" / "packing")).rows == len(first.inputs)


def test_documents_without_tokens_make_no_piece() -> None:
    starts, lengths = cut(np.array([0, 5, 5, 12]), 4)
    assert starts.tolist() == [0, 4, 5, 9] and lengths.tolist() == [4, 1, 4, 3]
    starts, lengths = cut(np.array([0, 5, 5, 12]), 40)
    assert starts.tolist() == [0, 5] and lengths.tolist() == [5, 7]


def test_stores_that_will_not_do(tmp_path: Path) -> None:
    plain, empty = write(tmp_path / "a", [50], separator=None), write(tmp_path / "b", [])
    short = write(tmp_path / "c", [17])
    for packing in (Windows(segments=True), BestFit(), Padded()):
        for method in (packing.training, packing.evaluation):
            with pytest.raises(ValueError, match=r"keeps documents apart, but .*a has no separator"):
                method(plain, 8)
    for packing in (Windows(), BestFit(), Padded()):
        with pytest.raises(ValueError, match="b holds no tokens"):
            packing.training(empty, 8)
        with pytest.raises(ValueError, match="a row would have 0 tokens"):
            packing.evaluation(short, 0)
    with pytest.raises(ValueError, match="a row has 10 tokens, which needs a corpus of at least 19 .*c holds 18"):
        Windows().training(short, 10)
    assert Windows().training(short, 9).rows == 1
