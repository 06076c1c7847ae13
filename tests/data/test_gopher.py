"""Each rule of Gopher's quality filter, just inside and just outside of its constant."""

import pytest

from data.curation import GopherQuality, Verdict
from data.document import Document

# 60 words in 6 lines, 2 of them stop words.
LINE = "green herons stand near the water and wait for fish"
TEXT = "\n".join([LINE] * 6)


def reason(text: str, transform: GopherQuality = GopherQuality()) -> str | None:
    document = Document(text, "d", "s")
    verdict = transform.start()(document)
    if verdict.document is not None:
        assert verdict == Verdict(document)
        return None
    [(found, times)] = verdict.reasons.items()
    assert times == 1
    return found


def words(number: int, length: int, *more: str) -> str:
    """So many words of a length, the last of them replaced by others."""
    return " ".join([*["x" * length] * (number - len(more)), *more])


def test_good_text_stays() -> None:
    assert reason(TEXT) is None


@pytest.mark.parametrize(
    ("inside", "outside", "rule"),
    [
        (words(50, 5, "the", "and"), words(49, 5, "the", "and"), "too few words"),
        (words(100_000, 5, "the", "and"), words(100_001, 5, "the", "and"), "too many words"),
        (words(50, 3, "the", "and"), words(50, 3, "of", "and"), "mean word length"),
        (words(50, 10, "the" + "x" * 7, "of and"), words(50, 10, "x" * 30, "the", "and"), "mean word length"),
        (f"{words(50, 5, 'the', 'and')} # # # # #", f"{words(50, 5, 'the', 'and')} # # # # # #", "too many hashes"),
        (f"... ... … … … {words(50, 5, 'the', 'and')}", f"......... … … … {words(50, 5, 'the', 'and')}",
         "too many ellipses"),
        ("\n".join(["• " + LINE] * 9 + [LINE]), "\n".join(["- " + LINE] * 10 + [LINE]), "bullet lines"),
        ("\n".join([LINE + "..."] * 3 + [LINE] * 7), "\n".join([LINE + "…"] * 4 + [LINE] * 9), "ellipsis lines"),
        (words(50, 5, "the", "and", *["12345"] * 10), words(50, 5, "the", "and", *["12345"] * 11),
         "words without letters"),
        (words(50, 5, "The", "AND"), words(50, 5, "the", "The", "there"), "too few stop words"),
    ],
)  # fmt: skip
def test_rules(inside: str, outside: str, rule: str) -> None:
    assert reason(outside) == f"gopher: {rule}"
    assert reason(inside) is None


def test_blank_lines_are_no_lines() -> None:
    assert reason("\n\n".join(["• " + LINE] * 10)) == "gopher: bullet lines"


def test_words_with_some_letter_are_words_with_letters() -> None:
    assert reason(words(50, 5, "the", "and", *["abc12"] * 20)) is None


def test_constants_can_be_changed() -> None:
    assert reason("the heron and the egret", GopherQuality(min_words=5)) is None
    german = GopherQuality(min_words=5, stop_words=("der", "und"))
    assert reason("Der Reiher und der Kranich", german) is None
    assert reason("the heron and the egret", german) == "gopher: too few stop words"
    assert reason("... !", GopherQuality(min_words=0)) == "gopher: no words"


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match="GopherQuality.min_words is 60, but max_words is 50"):
        GopherQuality(min_words=60, max_words=50)
    with pytest.raises(ValueError, match="GopherQuality.min_mean_length is 11.0, but max_mean_length is 10.0"):
        GopherQuality(min_mean_length=11.0)
