"""Transforms do what they say, and the account of it adds up."""

import unicodedata
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import (
    Clean,
    DeduplicateLines,
    DeduplicateParagraphs,
    DocumentTransform,
    ExactDeduplicate,
    MinLength,
    Transform,
    TransformReport,
    Verdict,
)
from data.curation.passes import passes
from data.document import Document

TEXT = st.text(st.characters(codec="utf-8"), max_size=80)


def documents(*texts: str) -> list[Document]:
    return [Document(text, f"d{i}", "s") for i, text in enumerate(texts)]


def curated(transforms: list[Transform], *texts: str) -> tuple[list[Document], list[TransformReport]]:
    """What is left of these texts, and the account, by passes in memory."""
    current, findings, reports = documents(*texts), [], []
    for part in passes(transforms):
        chain = part.chain()
        current = chain.feed(current, findings)
        reports += chain.reports
        if part.signed:
            signatures = list(map(part.signed.start_signature(), current))
            [findings] = part.signed.join.resolve([part.signed.join.pack(signatures)])
    return current, reports


def run(transform: Transform, *texts: str) -> list[str]:
    return [document.text for document in curated([transform], *texts)[0]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\x00b\x1bc\ufeff", "abc"),
        ("cafe\u0301", "caf\u00e9"),
        ("a  \nb\t\n", "a\nb"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("a\n \n\t\n \n \nb", "a\n\n\nb"),
        ("\n\n  a\tb\n\n", "  a\tb"),
        ("kept\n\n\nas it\n    is", "kept\n\n\nas it\n    is"),
    ],
)
def test_clean(before: str, after: str) -> None:
    assert run(Clean(), before) == [after]


@given(text=TEXT | st.text(st.sampled_from("ab \t\n\r\x0c\u2029\x00e\u0301")))
def test_clean_is_idempotent(text: str) -> None:
    once = run(Clean(), text)
    assert run(Clean(), *once) == once
    for cleaned in once:
        assert unicodedata.is_normalized("NFC", cleaned)
        assert "\r" not in cleaned and "\n\n\n\n" not in cleaned
        assert all(line == line.rstrip() for line in cleaned.split("\n"))


def test_clean_drops_what_is_empty_and_takes_linear_time() -> None:
    assert run(Clean(), " \n\t\x00\n") == []
    assert run(Clean(), "a" + " " * 300_000 + "b")[0][-1] == "b"


def test_min_length() -> None:
    assert run(MinLength(3), "ab", "abc", "") == ["abc"]
    with pytest.raises(ValueError, match="MinLength.characters is 0"):
        MinLength(0)


def test_exact_deduplicate_keeps_the_first() -> None:
    texts = ("Hello  World", "other", "hello\nworld ", "\uff28ello world", "Hello Worlds")
    assert run(ExactDeduplicate(), *texts) == ["Hello  World", "other", "Hello Worlds"]


def test_paragraphs_are_removed_where_they_repeat() -> None:
    long, more = "A long enough paragraph.", "Another one,\n  of two lines."
    first = f"Title\n\n{long}\n\n\n{more}\n"
    second = f"Title\n\n{long.upper()}\n\nNew text here, unlike the rest."
    kept = run(DeduplicateParagraphs(10), first, second, f"{more}\n \n{long}", "Title\n\nTitle")
    assert kept == [first, "Title\n\nNew text here, unlike the rest.", "Title\n\nTitle"]
    with pytest.raises(ValueError, match="DeduplicateParagraphs.characters is 0"):
        DeduplicateParagraphs(0)


@given(texts=st.lists(st.text("ab \n", max_size=30), max_size=5))
def test_paragraphs_are_untouched_where_none_repeats(texts: list[str]) -> None:
    assert run(DeduplicateParagraphs(1000), *texts) == texts


@given(texts=st.lists(st.text("aB \n\r", max_size=12), max_size=20))
def test_the_account_adds_up(texts: list[str]) -> None:
    transforms = [Clean(), ExactDeduplicate(), DeduplicateParagraphs(2), MinLength(2)]
    kept, reports = curated(transforms, *texts)
    seen, characters = len(texts), sum(map(len, texts))
    for report in reports:
        assert (report.seen, report.characters_in) == (seen, characters)
        assert report.changed + report.dropped <= seen
        assert report.characters_out <= report.characters_in
        seen, characters = seen - report.dropped, report.characters_out
        samples = list(report.samples)
        assert (report.dropped == 0) or samples
        reasons = [sample.reason for sample in samples]
        assert all(reasons.count(reason) <= 3 for reason in reasons)
    assert (seen, characters) == (len(kept), sum(len(document.text) for document in kept))


def test_reasons_and_samples() -> None:
    kept, (clean, duplicates) = curated([Clean(), ExactDeduplicate()], "abc\r\n", "abc", "x" * 900, "x" * 900)
    assert [document.id for document in kept] == ["d0", "d2"]
    assert clean.transform == {"type": "Clean"}
    assert clean.reasons == {"newlines": 1, "blank lines": 1} and clean.changed == 1
    assert duplicates.reasons == {"duplicate document": 2}
    samples = list(duplicates.samples)
    assert [sample.id for sample in samples] == ["d1", "d3"]
    assert len(samples[1].excerpt) < 300


@dataclass(frozen=True)
class Twice(DocumentTransform):
    """Adds a copy of each document, and counts letters."""

    def start(self) -> object:
        def judge(document: Document) -> Verdict:
            copy = replace(document, id=f"{document.id}#2")
            return Verdict(document, added=[copy], tallies={"a": document.text.count("a"), "documents": 1})

        return judge


def test_what_is_added_follows_what_it_was_made_from() -> None:
    kept, (report, _) = curated([Twice(), MinLength(2)], "aab", "x", "bb")
    assert [document.id for document in kept] == ["d0", "d0#2", "d2", "d2#2"]
    assert (report.added, report.seen, report.characters_out) == (3, 3, 12)
    assert report.tallies == {"a": 2, "documents": 3}


def test_lines_are_removed_where_they_repeat() -> None:
    kept = run(DeduplicateLines(5), "first line\nab\nsecond line", "ab\nFirst  line\nthird line\n", "second line")
    assert kept == ["first line\nab\nsecond line", "ab\nthird line"]


def test_a_transform_remembers_nothing_between_runs() -> None:
    transform = ExactDeduplicate()
    assert run(transform, "a") == run(transform, "a") == ["a"]
