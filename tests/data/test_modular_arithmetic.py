"""The whole table, sum by sum."""

import pytest

from data.sources import ModularArithmetic


@pytest.mark.parametrize(("left", "right"), [(1, 1), (1, -1), (2, 3)])
def test_every_sum_stands_there_once_and_is_right(left: int, right: int) -> None:
    source, seen = ModularArithmetic(97, left, right), set()
    for document in source.documents():
        x, y, tab, z = document.text
        assert tab == "\t" and len(document.text.encode()) == 4
        x, y, z = (ord(letter) - ord("\x1f") for letter in (x, y, z))
        assert z == (left * x + right * y) % 97
        seen.add((x, y))
    assert len(seen) == 97**2 and all(0 <= number < 97 for pair in seen for number in pair)


def test_there_are_letters_for_97_numbers() -> None:
    with pytest.raises(ValueError, match="from 2 to 97"):
        ModularArithmetic(98)
