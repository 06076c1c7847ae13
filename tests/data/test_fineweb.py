"""Each of FineWeb's rules, just inside and just outside of its constant."""

import pytest

from data.curation import FineWebQuality, Verdict
from data.document import Document


def reason(text: str, transform: FineWebQuality = FineWebQuality()) -> str | None:
    document = Document(text, "d", "s")
    verdict = transform.start()(document)
    if verdict.document is not None:
        assert verdict == Verdict(document)
        return None
    [(found, times)] = verdict.reasons.items()
    assert times == 1
    return found


def line(number: int, length: int = 40, end: str = ".") -> str:
    """A line that no other number gives."""
    return (f"{number:03d} are the words that stand in this long line" + " of text" * 9)[: length - len(end)] + end


def test_sentence_ends() -> None:
    # 4 of 32 is 0.125; 3 of 25 is 0.12.
    assert reason("\n".join(line(n, end="." if n < 4 else ",") for n in range(32))) is None
    assert reason("\n".join(line(n, end="!" if n < 3 else ",") for n in range(25))) == (
        "fineweb: lines without sentence ends"
    )
    assert reason("\n".join(line(n, end="。") for n in range(5))) is None


def test_short_lines() -> None:
    # 66 of 100 lines have 29 characters and the rest 30; then 67 of 100.
    assert reason("\n".join(line(n, 29 if n < 66 else 30) for n in range(100))) is None
    assert reason("\n".join(line(n, 29 if n < 67 else 30) for n in range(100))) == "fineweb: short lines"


def test_duplicate_lines() -> None:
    # One of 11 lines occurred before; then one of 10.
    assert reason("\n".join([line(0), *(line(n) for n in range(10))])) is None
    broken = "fineweb: characters in duplicate lines"
    assert reason("\n".join([line(0), *(line(n) for n in range(9))])) == broken
    as_in_code = FineWebQuality(duplicate_characters=0.01)
    assert reason("\n".join([line(0), *(line(n) for n in range(10))]), as_in_code) == broken


@pytest.mark.parametrize(("blank", "expected"), [(20, None), (22, "fineweb: too many newlines")])
def test_newlines(blank: int, expected: str | None) -> None:
    # 70 words in 10 lines, with 9 + 12 newlines between them; then more than 21.
    text = "\n".join(" ".join([f"number{n}"] * 6) + " and." for n in range(10))
    assert reason(text + "\n" * (blank - 8)) == expected


def test_nothing() -> None:
    assert reason(" \n ") == "fineweb: no lines"
