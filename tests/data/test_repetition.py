"""Gopher's repetition rules: each at its constant, and n-grams against a slow reading of the definition."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import GopherRepetition, NGramLimit, Verdict
from data.document import Document

NONE = GopherRepetition(1.0, 1.0, 1.0, 1.0, top=(), duplicate=())


def reason(text: str, transform: GopherRepetition = GopherRepetition()) -> str | None:
    document = Document(text, "d", "s")
    verdict = transform.start()(document)
    if verdict.document is not None:
        assert verdict == Verdict(document)
        return None
    [(found, times)] = verdict.reasons.items()
    assert times == 1
    return found


def fresh(start: int, number: int) -> list[str]:
    """Different words of three letters, none of which is used elsewhere."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [letters[n // 676] + letters[n // 26 % 26] + letters[n % 26] for n in range(start, start + number)]


def lines(repeated: int, single: int, of_repeated: str, between: str) -> str:
    return between.join([of_repeated] * repeated + [" ".join(fresh(20 * n, 10)) for n in range(single)])


def test_pieces() -> None:
    # Of 10 lines 3 occurred before, short ones; then 4 of 13.
    assert reason(lines(4, 6, "hi", "\n")) is None
    assert reason(lines(5, 8, "hi", "\n")) == "gopher: duplicate lines"
    assert reason(lines(4, 6, "hi", "\n\n")) is None
    assert reason(lines(5, 8, "hi", "\n\n")) == "gopher: duplicate paragraphs"
    # Of 5 pieces of 39 characters one occurred before; then one of 40.
    long = " ".join(fresh(5000, 10))
    assert len(long) == 39
    loose = replace(GopherRepetition(), top=(), duplicate=())
    for between, name in (("\n", "lines"), ("\n\n", "paragraphs")):
        assert reason(lines(2, 3, long, between), loose) is None
        assert reason(lines(2, 3, long + "!", between), loose) == f"gopher: characters in duplicate {name}"


@pytest.mark.parametrize(("n", "share"), [(2, 0.20), (3, 0.18), (4, 0.16)])
def test_top(n: int, share: float) -> None:
    # An n-gram twice, in 100 words or so: exactly at the share, then a word less around it.
    gram, total = fresh(0, n), round(2 * n / share)
    rest = fresh(100, total - 2 * n)
    if total * share == 2 * n:
        assert reason(" ".join([*gram, *rest[:5], *gram, *rest[5:]])) is None
    assert reason(" ".join([*gram, *rest[:5], *gram, *rest[5:-1]])) == f"gopher: top {n}-gram"


@pytest.mark.parametrize(("n", "percent"), [(5, 15), (6, 14), (7, 13), (8, 12), (9, 11), (10, 10)])
def test_duplicates(n: int, percent: int) -> None:
    # `percent` words in n-grams that occurred before, of 100; then of 99.
    gram = fresh(0, percent)
    only = replace(NONE, duplicate=(NGramLimit(n, percent / 100),))
    default = next(limit for limit in GopherRepetition().duplicate if limit.n == n)
    assert default == NGramLimit(n, percent / 100)
    rest = fresh(100, 100 - 2 * percent)
    assert reason(" ".join([*gram, *rest, *gram]), only) is None
    assert reason(" ".join([*gram, *rest[:-1], *gram]), only) == f"gopher: duplicate {n}-grams"


def test_what_occurs_once_is_no_repetition() -> None:
    assert reason("Three short words") is None
    assert reason("") is None


def characters(words: list[str], n: int, starts: list[int]) -> int:
    return sum(len(words[i]) for i in {start + k for start in starts for k in range(n)})


def slow_top(words: list[str], n: int) -> int:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(grams)
    # The first of the largest, in the order of the text.
    top = max(counts, key=lambda gram: (counts[gram], len("".join(gram))), default=())
    return characters(words, n, [i for i, gram in enumerate(grams) if gram == top]) if counts[top] > 1 else 0


def slow_duplicate(words: list[str], n: int) -> int:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return characters(words, n, [i for i, gram in enumerate(grams) if gram in grams[:i]])


@given(
    words=st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=25),
    n=st.integers(2, 10),
    other=st.integers(2, 10),
)
def test_n_grams_are_as_defined(words: list[str], n: int, other: int) -> None:
    text, total = " ".join(words), len("".join(words))
    rules = (("top", slow_top, f"top {n}-gram"), ("duplicate", slow_duplicate, f"duplicate {n}-grams"))
    for field, slow, name in rules:
        share = slow(words, n) / total
        # Another limit, which nothing breaks, makes it count on the way.
        at = replace(NONE, **{field: (NGramLimit(n, share), NGramLimit(other, 1.0))})
        assert reason(text, at) is None
        if share:
            below = replace(at, **{field: (NGramLimit(n, share - 1e-9),)})
            assert reason(text, below) == f"gopher: {name}"


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match="NGramLimit.n is 1"):
        NGramLimit(1, 0.5)
