"""Turns against the definition: never a whole row behind or ahead, for any source, after any step."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.chairman import turns


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[int], int]:
    steps = draw(st.integers(1, 40))
    rows = draw(st.lists(st.integers(0, 60), min_size=1, max_size=7))
    rows[0] += -sum(rows) % steps
    return rows, steps


@given(blocks())
def test_no_source_is_a_row_off(block: tuple[list[int], int]) -> None:
    rows, steps = block
    read = turns(np.array(rows), steps)
    assert read.shape == (steps + 1, len(rows))
    assert read[0].tolist() == [0] * len(rows) and read[-1].tolist() == rows
    assert (np.diff(read, axis=0) >= 0).all()
    assert read.sum(axis=1).tolist() == [t * sum(rows) // steps for t in range(steps + 1)]
    for step in range(steps + 1):
        for count, row in zip(read[step].tolist(), rows, strict=True):
            assert abs(count - Fraction(step * row, steps)) < 1


def test_a_source_of_one_row_in_many_steps() -> None:
    read = turns(np.array([99, 1]), 100)
    assert read[:, 1].tolist() == [0] * (100 - read[:, 1].sum() + 1) + [1] * read[:, 1].sum()


def test_what_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="7 rows cannot be divided evenly among 2 steps"):
        turns(np.array([3, 4]), 2)
