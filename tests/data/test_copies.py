"""Passages that occur many times: so many, so long, each copy with so many words changed, and found by curation."""

import json
from pathlib import Path

import pytest

from data.curation import NearDuplicates, Substrings
from data.curation.curation import Curation
from data.curation.engine import curate
from data.sources import Copies, JsonLines, Source
from data.spec import build, describe


def story(number: int) -> str:
    return " ".join(f"word{number}x{i * i % 97}" for i in range(60)) + "\n\nThe end."


@pytest.fixture
def source(tmp_path: Path) -> JsonLines:
    path = tmp_path / "a.jsonl"
    texts = ["short", story(1), story(2), story(3)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return JsonLines(path)


def test_the_first_long_documents_from_their_beginnings(source: JsonLines) -> None:
    found = [document.text for document in Copies(source, passages=2, characters=300, copies=3).documents()]
    assert found == [story(1)[:300]] * 3 + [story(2)[:300]] * 3
    documents = list(Copies(source, passages=2, characters=300, copies=3).documents())
    assert len({document.id for document in documents}) == 6


def test_copies_differ_in_so_many_words_and_always_alike(source: JsonLines) -> None:
    copies = Copies(source, passages=1, characters=400, copies=20, edits=2)
    first, *others = [document.text for document in copies.documents()]
    assert first == story(1)[:400]
    changed = [sum(a != b for a, b in zip(first.split(), other.split(), strict=True)) for other in others]
    # A word may be replaced by itself or by an equal one.
    assert max(changed) == 2 and sum(changed) > 30
    assert [document.text for document in copies.documents()] == [first, *others]
    again = Copies(source, passages=1, characters=400, copies=20, edits=2, seed=1)
    assert [document.text for document in again.documents()] != [first, *others]


def test_curation_finds_them(source: JsonLines, tmp_path: Path) -> None:
    copies = Copies(source, passages=3, characters=400, copies=10, edits=1)

    def left(transform: NearDuplicates | Substrings) -> list[str]:
        corpus = curate(Curation(copies, (transform,)), tmp_path / type(transform).__name__, log=lambda line: None)
        return [document.text for document in corpus.documents()]

    assert len(list(copies.documents())) == 30
    near = left(NearDuplicates())
    assert [text for text in near if text in {story(n)[:400] for n in (1, 2, 3)}] == [story(n)[:400] for n in (1, 2, 3)]
    assert len(near) <= 5
    assert sum(map(len, left(Substrings(bytes=50)))) < 0.3 * 30 * 400


def test_what_cannot_be_copied(source: JsonLines) -> None:
    copies = Copies(source, passages=4, characters=300)
    assert describe(build(describe(copies), Source)) == describe(copies)
    with pytest.raises(ValueError, match="Copies.passages is 4, but 3 documents have 300 characters"):
        list(copies.documents())
    with pytest.raises(ValueError, match="Copies.copies is 0"):
        Copies(source, passages=1, copies=0)
    assert copies.fingerprint() != Copies(source, passages=3, characters=300).fingerprint()
