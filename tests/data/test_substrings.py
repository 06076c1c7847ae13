"""Repeated passages are those that a search by hand finds, and what is left is text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import Substrings, Verdict, substrings
from data.document import Document
from data.sources import JsonLines

# Characters of one to four bytes, of which three share their first or their last; few, so that much repeats.
TEXTS = st.lists(st.text("ab\u00e9\u00e3\u0129\u20ac\U0001f600", max_size=25), max_size=5)


def verdicts(spec: Substrings, shards: list[list[str]]) -> list[Verdict]:
    sign, apply, join = spec.start_signature(), spec.start_apply(), spec.join
    documents = [[Document(text, "d", "s") for text in shard] for shard in shards]
    found = join.resolve([join.pack([sign(document) for document in shard]) for shard in documents])
    return [apply(*pair) for shard in zip(documents, found, strict=True) for pair in zip(*shard, strict=True)]


def left(spec: Substrings, *texts: str) -> list[str]:
    found = verdicts(spec, [list(texts)])
    return [verdict.document.text if verdict.document else "" for verdict in found]


def by_hand(texts: list[str], length: int) -> list[str]:
    """Every run is looked up in a dictionary of all runs before it; characters go that are covered whole."""
    first: dict[bytes, int] = {}
    result, start = [], 0
    for text in texts:
        raw = text.encode()
        covered = [False] * len(raw)
        for place in range(len(raw) - length + 1):
            before = first.setdefault(raw[place : place + length], start + place)
            if start + place - before >= length:
                covered[place : place + length] = [True] * length
        kept, place = "", 0
        for character in text:
            size = len(character.encode())
            kept += "" if all(covered[place : place + size]) else character
            place += size
        result.append(kept)
        start += len(raw) + 1
    return result


@given(texts=TEXTS, length=st.integers(1, 9), block=st.sampled_from([2, 3, 7, 1 << 20]))
def test_what_is_left_is_what_a_search_by_hand_leaves(texts: list[str], length: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(substrings, "_BLOCK", block)
        assert left(Substrings(length), *texts) == by_hand(texts, length)


@given(texts=TEXTS, cut=st.integers(0, 5))
def test_shards_change_nothing(texts: list[str], cut: int) -> None:
    spec = Substrings(5)
    assert verdicts(spec, [texts[:cut], [], texts[cut:]]) == verdicts(spec, [texts])


def test_the_first_occurrence_stays_whole() -> None:
    passage = "A passage that is long enough."
    texts = (f"One<{passage}>", f"Two:{passage}-and;{passage}!", passage)
    length = len(passage)
    assert left(Substrings(length), *texts) == [texts[0], "Two:-and;!", ""]
    assert left(Substrings(length + 1), *texts) == list(texts)
    # A repeat that overlaps its first occurrence is none.
    assert left(Substrings(10), "a" * 19, "b") == ["a" * 19, "b"]
    assert left(Substrings(10), "a" * 20, "b") == ["a" * 10, "b"]


def test_characters_go_whole_or_not_at_all() -> None:
    # C3 A9 and C4 A9, then C3 A9 and C3 A3: what repeats begins, then ends, within a character.
    assert left(Substrings(4), "\u00e9abc", "\u0129abc") == ["\u00e9abc", "\u0129"]
    assert left(Substrings(4), "abc\u00e9", "abc\u00e3") == ["abc\u00e9", "\u00e3"]


def test_the_account() -> None:
    spec = Substrings(4)
    whole, part, none = verdicts(spec, [["1234abcd"], ["xx1234yyabcd", "abcd\n"]])
    assert whole.document and not whole.reasons
    assert part.document and part.document.text == "xxyy"
    assert part.reasons == {"repeated passage": 2} and part.removed == ["1234", "abcd"]
    assert none.document is None and none.reasons == {"repeated passage": 1}


def test_no_passage_reaches_into_the_next_document() -> None:
    assert left(Substrings(4), "ab", "cd", "ab", "cd") == ["ab", "cd", "ab", "cd"]


def test_bad_values() -> None:
    with pytest.raises(ValueError, match="Substrings.bytes is 0, but must be at least 1"):
        Substrings(0)
    with pytest.raises(ValueError, match=r"the corpus has 6 bytes of text, more than Substrings.limit = 5"):
        left(Substrings(4, limit=5), "abc", "def")
    assert left(Substrings(4, limit=6), "abc", "def") == ["abc", "def"]
    assert left(Substrings(4)) == []


def test_an_earlier_corpus_is_a_source() -> None:
    source = JsonLines(Path("old.jsonl"))
    assert Substrings(against=source).earlier() is source
    assert Substrings().earlier() is None
