"""Shares as whole rows, against fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from data.mixture.blocks import LONGEST, block, whole_rows

SHARES = st.lists(st.integers(1, 10_000), min_size=1, max_size=6).map(
    lambda parts: [Fraction(part, sum(parts)) for part in parts]
)


def tenths(*shares: str) -> list[Fraction]:
    return [Fraction(share) for share in shares]


def test_decimal_weights_are_exact_in_a_short_block() -> None:
    assert block(tenths("0.7", "0.2", "0.1"), 500) == (1, (350, 100, 50))
    assert block(tenths("0.7", "0.2", "0.1"), 512) == (5, (1792, 512, 256))
    assert block(tenths("0.999", "0.001"), 8) == (125, (999, 1))
    assert block([Fraction(1, 3)] * 3, 512) == (3, (512, 512, 512))


@given(shares=SHARES, batch=st.integers(1, 600), longest=st.sampled_from([1, 7, 64, LONGEST]))
def test_a_block_is_exact_or_close(shares: list[Fraction], batch: int, longest: int) -> None:
    steps, rows = block(shares, batch, longest)
    assert 1 <= steps <= longest and sum(rows) == steps * batch
    for row, share in zip(rows, shares, strict=True):
        assert abs(row - share * steps * batch) < 1
        if longest == LONGEST and share * batch >= Fraction(1, 2):
            assert abs(Fraction(row, steps * batch) - share) <= share / 500


@given(shares=SHARES, total=st.integers(0, 1000))
def test_whole_rows_make_the_total(shares: list[Fraction], total: int) -> None:
    rows = whole_rows(shares, total)
    assert sum(rows) == total
    assert all(abs(row - share * total) < 1 for row, share in zip(rows, shares, strict=True))
