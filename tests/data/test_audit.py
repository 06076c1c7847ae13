"""Counts of terms and their association, against counting by hand and a contingency table in NumPy."""

import hashlib
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.audit import Association, Lexicon, associations, matrix, representation, spread
from data.audit.lexicon import _BUILT_IN
from data.census import Census
from data.curation.bias import BiasAudit, Window, WithinDocument, WithinSentence, WithinWords
from data.curation.chain import Chain
from data.document import Document
from data.pinned_file import PinnedFile
from data.spec import build, describe


def lexicon(path: Path, name: str, **groups: list[str]) -> Lexicon:
    file = path / f"{name}.json"
    file.write_text(json.dumps(groups))
    return Lexicon(name, pinned(file))


def pinned(file: Path) -> PinnedFile:
    return PinnedFile(str(file), hashlib.sha256(file.read_bytes()).hexdigest())


def tallies(audit: BiasAudit, *texts: str) -> dict[str, int]:
    chain = Chain([audit])
    documents = [Document(text, f"d{i}", "s") for i, text in enumerate(texts)]
    assert chain.feed(documents) == documents
    report = chain.reports[0]
    assert (report.changed, report.dropped) == (0, 0)
    return report.to_json()["tallies"]


@pytest.fixture
def audit(tmp_path: Path) -> BiasAudit:
    people = lexicon(tmp_path, "people", cats=["cat", "cats", "big cat"], dogs=["dog", "dogs"])
    said = lexicon(tmp_path, "said", nice=["nice", "so very nice", "dog"], bad=["bad"])
    return BiasAudit((people,), (said,))


def test_counts_by_hand(audit: BiasAudit) -> None:
    found = tallies(audit, "A cat's nice. The BIG cat, so very nice! Concatenate?\n\nbad dogs", "cat\nbad... dog", "")
    assert found == {
        "documents": 3, "words": 16, "windows": 6,
        # "big cat" is one term, and so is "so very nice"; "concatenate" is none.
        "people/cats/terms": 3, "people/cats/documents": 2, "people/cats/windows": 3,
        "people/dogs/terms": 2, "people/dogs/documents": 2, "people/dogs/windows": 2,
        "said/nice/terms": 3, "said/nice/documents": 2, "said/nice/windows": 3,
        "said/bad/terms": 2, "said/bad/documents": 2, "said/bad/windows": 2,
        # The last "dog" is in both lexicons, but does not occur together with itself.
        "people/cats & said/nice/windows": 2, "people/dogs & said/bad/windows": 1, "people/cats & said/bad/windows": 1,
    }  # fmt: skip
    rows = {row.group: row for row in representation(found)}
    cats = rows["cats"]
    assert (cats.terms, cats.share, cats.documents, cats.document_share) == (3, 3 / 5, 2, 2 / 3)
    assert cats.per_million == pytest.approx(3e6 / 16)
    assert [row.group for row in representation(found)] == ["cats", "dogs", "nice", "bad"]


@pytest.mark.parametrize(
    ("window", "together", "windows"),
    [(WithinDocument(), 1, 1), (WithinSentence(), 0, 3), (WithinWords(3), 1, 2), (WithinWords(2), 0, 3)],
)
def test_windows(audit: BiasAudit, window: Window, together: int, windows: int) -> None:
    found = tallies(BiasAudit(audit.identities, audit.attributes, window), "see cat. bad one! and")
    assert found["windows"] == windows
    assert found.get("people/cats & said/bad/windows", 0) == together


WORDS = st.sampled_from("cat cats dog nice bad other . !".split())


@given(st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=6))
def test_pmi_is_that_of_a_contingency_table(texts: list[list[str]]) -> None:
    groups = {"people/cats": {"cat", "cats"}, "people/dogs": {"dog"}, "said/nice": {"nice"}, "said/bad": {"bad"}}
    sentences = [s.split() for text in texts for s in " ".join(text).replace("!", ".").split(".") if s.split()]
    present = [[bool(set(sentence) & terms) for terms in groups.values()] for sentence in sentences]
    table = np.array(present, np.float64).reshape(-1, 4)
    with tempfile.TemporaryDirectory() as directory:
        people = lexicon(Path(directory), "people", cats=["cat", "cats"], dogs=["dog"])
        said = lexicon(Path(directory), "said", nice=["nice"], bad=["bad"])
        found = tallies(BiasAudit((people,), (said,)), *(" ".join(text) for text in texts))
    assert found.get("windows", 0) == len(sentences)
    names = list(groups)
    for row in associations(found):
        x, y = names.index(row.identity), names.index(row.attribute)
        joint, px, py = (table[:, x] * table[:, y]).mean(), table[:, x].mean(), table[:, y].mean()
        expected = np.log2(joint / (px * py)) if joint else -np.inf
        assert row.pmi == pytest.approx(expected, abs=1e-12)
    pairs = {(row.identity, row.attribute) for row in associations(found)}
    for x in (0, 1):
        for y in (2, 3):
            assert not (table[:, x] * table[:, y]).any() or (names[x], names[y]) in pairs


def test_pmi_of_church_and_hanks() -> None:
    # The first row of their table of words with "doctor" in 15 million words of newswire: 11.3 bits.
    row = Association("a/honorary", "b/doctor", 12, 111, 621, 15_000_000)
    assert row.pmi == pytest.approx(11.3, abs=0.06)
    assert row.is_stable and not Association("a/x", "b/y", 5, 10, 10, 1000).is_stable
    assert Association("a/x", "b/y", 0, 10, 10, 100).pmi == -math.inf


def test_a_matrix_shows_what_can_be_trusted() -> None:
    rows = [
        Association("a/x", "b/u", 8, 16, 16, 64),
        Association("a/y", "b/u", 1, 4, 16, 64),
        Association("c/z", "b/u", 8, 16, 16, 64),
    ]
    assert matrix(rows, "a", "b") == (["x", "y"], ["u"], [[1.0], [None]])


def test_tables_of_the_card() -> None:
    audit = BiasAudit((Lexicon("gender"),), (Lexicon("family_career"),))
    found = tallies(audit, *["She is home."] * 8, *["He has a career."] * 8, "They slept.")
    terms, careers, together = audit.tables({"tallies": found})
    assert [table.title for table in (terms, careers)] == ["Terms of family career", "Terms of gender"]
    assert terms.rows[0] == ("career", 8, 50.0, pytest.approx(1e6 * 8 / 58), 8, pytest.approx(100 * 8 / 17))
    # Of 17 sentences 8 have each, and all of these together.
    assert together.header == ("Group", "career", "family")
    bits = pytest.approx(math.log2(17 / 8))
    assert together.rows == (("female", None, bits), ("male", bits, None))
    assert BiasAudit.SECTION == "Bias audit" and audit.tables({"tallies": {}}) == []


def test_the_lists_that_come_along_are_lists() -> None:
    for file in _BUILT_IN.glob("*.json"):
        groups = Lexicon(file.stem).groups()
        assert len(groups) > 1
        for terms in groups.values():
            assert terms and len(set(terms)) == len(terms)
            assert all(term == term.lower() == term.strip() for term in terms)
    found = tallies(BiasAudit(), "She is a nurse, and a South African.")
    assert found["gender/female & profession/care/windows"] == 1
    assert found["nationality/south african/terms"] == 1


def test_bad_lexicons_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('["x"]')
    (tmp_path / "c.json").write_text('{"g": ["..."]}')
    for make, message in (
        (lambda: Lexicon("gendr"), "no lexicon 'gendr'; give a file, or one of age,"),
        (lambda: Lexicon("a/b"), "Lexicon.name is 'a/b'"),
        (lambda: Lexicon("a", pinned(tmp_path / "a.json")).groups(), "a.json:1 is not JSON"),
        (lambda: Lexicon("b", pinned(tmp_path / "b.json")).groups(), "must be a JSON object of groups"),
        (lambda: BiasAudit((Lexicon("c", pinned(tmp_path / "c.json")),), ()).start(), "in which there is no word"),
        (lambda: BiasAudit((Lexicon("age"),), (Lexicon("age"),)), "two lexicons called 'age'"),
        (lambda: WithinWords(1), "WithinWords.words is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    assert build(describe(BiasAudit()), BiasAudit) == BiasAudit()


def test_spread() -> None:
    census = Census()
    for text, source, language in (("aaaa", "x", "en"), ("bb", "y", "de"), ("cc", "x", "de")):
        census.count(Document(text, "i", source, language=language))
    by_language = spread(census.to_json(), "language")
    assert by_language.shares == {"de": 0.5, "en": 0.5} and by_language.effective == 2.0
    by_source = spread(census.to_json(), "source", "documents")
    assert by_source.shares == {"x": 2 / 3, "y": 1 / 3}
    assert by_source.entropy == pytest.approx(math.log2(3) - 2 / 3)
    assert spread([], "source").shares == {}
