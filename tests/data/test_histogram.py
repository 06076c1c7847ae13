"""Scores are counted by tenths."""

from data.curation.quality.histogram import bin_of, histogram


def test_bins() -> None:
    assert [next(iter(bin_of(score))) for score in (0.0, 0.0999, 0.1, 1.0, 2.35, 12.0)] == [
        "0.0", "0.0", "0.1", "1.0", "2.3", "12.0",
    ]  # fmt: skip


def test_table() -> None:
    [table] = histogram("Bits per byte", {"10.0": 1, "0.9": 3, "2.1": 4})
    assert table.rows == (("0.9", 3, 3 / 8), ("2.1", 4, 7 / 8), ("10.0", 1, 1.0))
    assert histogram("Bits per byte", {}) == []
