"""A random choice of rows: so many, the same in every epoch, from all over the corpus."""

from pathlib import Path

import numpy as np
import pytest

from data.packing import Padded, RowTable, Sampled, Windows, empty_rows
from data.store import TokenStore
from data.store_writer import TokenStoreWriter


def write(directory: Path, tokens: int) -> TokenStore:
    """One document, of which every token is another."""
    with TokenStoreWriter(directory, vocab_size=60_000, tokenizer="", separator=0, shard_tokens=10_000) as writer:
        writer.append(np.arange(1, tokens + 1), tokens)
    return TokenStore(directory)


def targets(table: RowTable, length: int, epoch: int = 0) -> list[tuple[int, ...]]:
    rows = empty_rows(table.rows, length, False)
    table.fill(rows, slice(None), np.arange(table.rows), np.full(table.rows, epoch, np.uint64))
    return [tuple(row) for row in rows.targets.tolist()]


def test_rows_are_different_ones_of_the_packing_and_the_same_in_every_epoch(tmp_path: Path) -> None:
    store = write(tmp_path, 8000)
    all_rows = set(targets(Windows().training(store, 8), 8))
    found = targets(Sampled(100).training(store, 8), 8)
    assert len(set(found)) == 100 and set(found) <= all_rows
    # Windows alone would cut other epochs elsewhere.
    assert any(targets(Windows().training(store, 8), 8, epoch)[0] not in all_rows for epoch in range(1, 5))
    assert all(targets(Sampled(100).training(store, 8), 8, epoch) == found for epoch in range(1, 5))


def test_they_come_from_all_over_the_corpus(tmp_path: Path) -> None:
    store = write(tmp_path, 16_000)
    places = np.array(targets(Sampled(400).training(store, 8), 8))[:, 0] / 16_000
    # Of 400 uniform draws, each tenth has 40 with a deviation of 6.
    counts = np.histogram(places, bins=10, range=(0, 1))[0]
    assert counts.sum() == 400 and counts.min() > 16 and counts.max() < 64


def test_fewer_are_some_of_more_and_another_seed_chooses_others(tmp_path: Path) -> None:
    store = write(tmp_path, 8000)
    many, few = (set(targets(Sampled(n).training(store, 8), 8)) for n in (200, 50))
    assert few < many
    assert len(set(targets(Sampled(50, seed=1).training(store, 8), 8)) & few) < 15


def test_tokens_and_what_is_held_out(tmp_path: Path) -> None:
    store = write(tmp_path, 800)
    assert Sampled(10).training(store, 8).tokens == 80
    assert Sampled(10).evaluation(store, 8).tokens == 801
    assert Sampled(1, Padded()).keeps_apart and not Sampled(1, Padded()).shares_rows


def test_what_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Sampled.rows is 0"):
        Sampled(0)
    with pytest.raises(ValueError, match=r"Sampled.rows is 100, but the corpus makes 9; it is at most that"):
        Sampled(100).training(write(tmp_path, 80), 8)
