"""Stretches that repeat, and nothing else that does."""

import math
from collections import Counter

import pytest

from data.sources import Repeats


def period(text: str) -> int:
    """The shortest one that a text has."""
    return next(n for n in range(1, len(text) + 1) if all(a == b for a, b in zip(text, text[n:], strict=False)))


def test_a_stretch_repeats_and_is_as_long_as_any() -> None:
    source = Repeats(count=2000, length=60, shortest=8, longest=20)
    periods = Counter(period(source.text(n)) for n in range(2000))
    assert set(periods) == set(range(8, 21)) and all(len(source.text(n)) == 60 for n in range(20))
    # The 99.9th percentile of chi-squared for 12 degrees of freedom is 32.9.
    assert sum((found - 2000 / 13) ** 2 / (2000 / 13) for found in periods.values()) < 32.9
    assert source.text(3) == Repeats(2000, 60, 8, 20).text(3) != Repeats(2000, 60, 8, 20, seed=1).text(3)


def test_letters_of_a_stretch_are_even() -> None:
    source = Repeats(count=500, length=40, shortest=40, longest=40)
    counts = Counter("".join(source.text(n) for n in range(500)))
    entropy = -sum(found / 20_000 * math.log(found / 20_000) for found in counts.values())
    assert len(counts) == 26 and entropy == pytest.approx(math.log(26), abs=0.002)


@pytest.mark.parametrize(
    ("fields", "words"), [({"letters": 27}, "from 2 to 26"), ({"shortest": 30}, "30 to 24 letters in documents of 50")]
)
def test_what_cannot_be_is_told(fields: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Repeats(5, 50, **fields)
