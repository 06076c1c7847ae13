"""Evaluation sets are found in a corpus by their n-grams, and told of set by set."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.audit.contamination import SetFound, contamination
from data.curation.chain import Chain
from data.curation.contamination import CutOut, Decontaminate, DropContaminated, EvaluationSet, FixedSize, SizeByLength
from data.curation.contamination.word_grams import WordGrams, plain_words
from data.curation.curation import Curation
from data.curation.engine import curate
from data.document import Document
from data.sources import JsonLines
from data.spec import build, describe


def evaluation_set(path: Path, name: str, *texts: str) -> EvaluationSet:
    file = path / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"q": text, "key": f"{name}{i}"}) + "\n" for i, text in enumerate(texts)))
    return EvaluationSet(name, JsonLines(str(file), text_field="q", id_field="key"))


def run(transform: Decontaminate, texts: Sequence[str]) -> tuple[list[Document], Chain]:
    documents = [Document(text, f"d{i}", "s") for i, text in enumerate(texts)]
    signature = transform.start_signature()
    packed = transform.join.pack([signature(document) for document in documents])
    (findings,) = transform.join.resolve([packed])
    chain = Chain([], transform)
    return chain.feed(documents, findings), chain


def words(start: int, count: int) -> str:
    return " ".join(f"w{i}" for i in range(start, start + count))


TEXT = st.text(st.characters(codec="utf-8")) | st.text("aB \n.,'-\u2014\u00e9_\x1c\x85")


@given(TEXT)
def test_words_are_gpt3s(text: str) -> None:
    kept = "".join(c for c in text.lower() if c.isalnum() or c.isspace() or not plain(c))
    assert plain_words(text).decode() == " ".join(kept.split())
    places = WordGrams(text).places()
    assert [plain_words(text[a:b]) for a, b in places] == plain_words(text).split(b" ")[: len(places)]
    assert len(places) == len(WordGrams(text))


def plain(character: str) -> bool:
    """Whether a character is punctuation, a symbol or a mark, by what Python takes for a word."""
    return not re.match(r"[^\W_]|\s", character)


@given(st.lists(st.sampled_from("a b ab ba c \u00e9 a. 'B".split()), max_size=30), st.integers(1, 5))
def test_grams_have_equal_hashes_where_they_are_equal(pieces: list[str], n: int) -> None:
    grams = WordGrams("  ".join(pieces))
    plain_pieces = plain_words(" ".join(pieces)).decode().split()
    expected = [tuple(plain_pieces[i : i + n]) for i in range(len(plain_pieces) - n + 1)]
    hashes = grams.hashes(n).tolist()
    assert len(hashes) == len(expected)
    assert len(set(hashes)) == len(set(expected))
    assert len(set(zip(hashes, expected, strict=True))) == len(set(expected))


def test_a_hash_is_the_same_wherever_the_gram_stands() -> None:
    alone = WordGrams("The quick, brown fox").hashes(4)
    inside = WordGrams(f"{'padding ' * 1000} the QUICK brown fox jumps").hashes(4)
    assert np.flatnonzero(inside == alone[0]).tolist() == [1000]


def test_a_report_for_each_set(tmp_path: Path) -> None:
    first = evaluation_set(tmp_path, "first", words(0, 13), words(100, 20), words(200, 5))
    second = evaluation_set(tmp_path, "second", words(300, 13), words(105, 14))
    transform = Decontaminate((first, second), action=DropContaminated())
    corpus = [f"x {words(0, 13).upper()}! y", words(0, 12), words(106, 13), f"{words(100, 13)} {words(0, 13)}", "clean"]
    kept, chain = run(transform, corpus)
    assert [document.id for document in kept] == ["d1", "d4"]
    report = chain.reports[0]
    assert report.reasons == {"contaminated": 3}
    assert contamination(report.tallies) == [
        SetFound("first", n=13, examples=3, too_short=1, found=2, documents=3),
        SetFound("second", n=13, examples=2, too_short=0, found=1, documents=1),
    ]
    assert contamination(report.tallies)[0].share == 1.0
    (table,) = transform.tables(report.to_json())
    assert table.rows[0] == ("first", 13, 3, 1, 2, 100.0, 3)
    assert build(describe(transform), Decontaminate) == transform


def test_what_is_clean_is_reported_too(tmp_path: Path) -> None:
    transform = Decontaminate((evaluation_set(tmp_path, "a", words(0, 20)),))
    kept, chain = run(transform, ["nothing of it"])
    assert [document.text for document in kept] == ["nothing of it"] and chain.reports[0].changed == 0
    assert contamination(chain.reports[0].tallies) == [SetFound("a", 13, 1, 0, 0, 0)]


@pytest.mark.parametrize(("copies", "kept"), [(10, 0), (11, 11)])
def test_what_many_documents_have_is_left_alone(tmp_path: Path, copies: int, kept: int) -> None:
    transform = Decontaminate((evaluation_set(tmp_path, "a", words(0, 13)),), action=DropContaminated())
    corpus = [f"{words(0, 13)} own{i}" for i in range(copies)]
    assert len(run(transform, corpus)[0]) == kept
    everything = Decontaminate(transform.sets, frequent=0, action=DropContaminated())
    assert not run(everything, corpus)[0]


def test_cutting_takes_200_characters_around(tmp_path: Path) -> None:
    question = words(0, 13)
    transform = Decontaminate((evaluation_set(tmp_path, "a", question),))
    before, after = "b" * 400 + " ", " " + "c" * 399 + " " + "d" * 100
    kept, chain = run(transform, [f"{before}{question}{after}"])
    # 401 - 200 characters before; 501 - 200 after.
    assert [(document.id, document.text) for document in kept] == [
        ("d0", "b" * 201), ("d0#1", f"{'c' * 200} {'d' * 100}"),
    ]  # fmt: skip
    assert chain.reports[0].reasons == {"contaminated span": 1}
    assert (chain.reports[0].changed, chain.reports[0].added) == (1, 1)
    kept, chain = run(transform, [f"{'b' * 300} {question} {'c' * 300}"])
    assert not kept and chain.reports[0].reasons == {"contaminated, too little left": 1}
    # Eleven pieces are too many, ten are not; each must be longer than what is cut from both its ends.
    filler = " " + "z" * 700 + " "
    assert len(run(transform, [filler + (question + filler) * 9])[0]) == 10
    assert run(transform, [filler + (question + filler) * 10])[1].reports[0].reasons == {"contaminated all over": 1}


def test_the_size_follows_the_lengths() -> None:
    # GPT-3, appendix C: the 5th percentile, at least 8 and at most 13.
    size = SizeByLength()
    assert [size.words(np.full(100, length)) for length in (3, 8, 10, 40)] == [8, 8, 10, 13]
    assert size.words(np.array([9] * 6 + [50] * 94)) == 9
    assert FixedSize(10).words(np.array([3])) == 10


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    one = evaluation_set(tmp_path, "a", "text")
    for wrong, message in (
        (lambda: FixedSize(0), "FixedSize.n is 0"),
        (lambda: SizeByLength(5.0, 9, 8), "needs a percentile"),
        (lambda: CutOut(pieces=0), "pieces of at least 1"),
        (lambda: Decontaminate(()), "Decontaminate.sets is empty"),
        (lambda: Decontaminate((one, one)), "Decontaminate.sets is a, a"),
        (lambda: Decontaminate((one,), frequent=-1), "Decontaminate.frequent is -1"),
        (lambda: EvaluationSet("a/b", one.source), "EvaluationSet.name is 'a/b'"),
        (lambda: Decontaminate((evaluation_set(tmp_path, "b"),)).start_signature(), "'b' has no examples"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_a_corpus_is_known_by_its_evaluation_sets(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.jsonl").write_text(json.dumps({"text": f"{'x' * 300} {words(0, 13)} {'y' * 300}"}) + "\n")
    source = JsonLines(str(tmp_path / "corpus"))
    transforms = (Decontaminate((evaluation_set(tmp_path, "a", words(0, 13)),), action=DropContaminated()),)
    with pytest.raises(ValueError, match="Decontaminate 1"):
        curate(Curation(source, transforms), tmp_path / "all", log=lambda line: None)
    before = Curation(source, transforms).identity()
    evaluation_set(tmp_path, "a", words(50, 13))
    assert Curation(source, transforms).identity() != before
    corpus = curate(Curation(source, transforms), tmp_path / "out", log=lambda line: None)
    assert len(list(corpus.documents())) == 1
    assert "| a | 13 | 1 | 0 | 0 |" in (tmp_path / "out" / "data_card.md").read_text()
