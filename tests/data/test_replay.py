"""Old data beside new: shares by the row, whatever the old data is."""

from fractions import Fraction

import pytest

from data.mixture import Mixture, Part, with_replay
from data.packing import RowTable
from data.prepared import ExistingStore


class Rows(RowTable):
    """A table that is only counted."""

    def __init__(self, rows: int) -> None:
        self.rows, self.tokens = rows, rows * 16

    def fill(self, *arguments: object) -> None:
        raise AssertionError("nothing is read")


A, B, C = (ExistingStore(f"/nowhere/{name}") for name in "abc")


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.3, Fraction(3, 10)), (0.9, Fraction(9, 10))])
def test_the_share_is_of_the_rows(share: float, expected: Fraction) -> None:
    mixture = with_replay(A, B, share)
    assert [part.name for part in mixture.parts] == ["old", "new"]
    timeline = mixture.timeline([Rows(1000), Rows(50)], 10, 100)
    assert timeline.shares(0) == timeline.shares(99) == (expected, 1 - expected)


def test_an_old_mixture_keeps_its_proportions() -> None:
    old = Mixture((Part("web", A, 3.0), Part("books", B, 1.0)), temperature=2.0)
    mixture = with_replay(old, C, 0.2)
    assert mixture.temperature == 2.0
    assert mixture.timeline([Rows(10), Rows(10), Rows(10)], 10, 10).shares(5) == (
        Fraction(3, 20), Fraction(1, 20), Fraction(4, 5),
    )  # fmt: skip


def test_what_cannot_be() -> None:
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"replayed is {share}, but must be at least 0 and below 1"):
            with_replay(A, B, share)
    with pytest.raises(ValueError, match="two parts of the mixture are called 'new'"):
        with_replay(Mixture((Part("new", A, 1.0),)), B, 0.5)
