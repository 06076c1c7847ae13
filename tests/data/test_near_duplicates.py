"""MinHash finds near-duplicates as often as the formulas of its papers say."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import NearDuplicates, near_duplicates
from data.curation.near_duplicates import split_words
from data.document import Document
from data.sources import PythonDocs


def document(text: str) -> Document:
    return Document(text, "d", "s")


def pairs(jaccard: float, count: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of texts whose sets of words have this Jaccard similarity: of 200 words, those both have."""
    shared = round(200 * jaccard)
    made = []
    for number in range(count):
        words = [f"w{seed}x{number}x{i}" for i in range(200)]
        middle = shared + (200 - shared) // 2
        made.append((" ".join(words[:middle]), " ".join(words[:shared] + words[middle:])))
    return made


@pytest.mark.parametrize("jaccard", [0.6, 0.75, 0.9])
def test_links_are_as_frequent_as_published(jaccard: float) -> None:
    """P = 1 - (1 - s^r)^b (Leskovec et al., Mining of Massive Datasets, section 3.4.2)."""
    sign = NearDuplicates(words=1).start_signature()
    count = 200
    linked = sum((sign(document(a)) == sign(document(b))).any() for a, b in pairs(jaccard, count, int(jaccard * 100)))
    expected = 1 - (1 - jaccard**8) ** 14
    assert abs(linked / count - expected) < 4 * np.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_equal_rows_estimate_the_jaccard_similarity_of_runs_of_words(seed: int) -> None:
    """Broder 1997: of two sets, a MinHash is equal with the probability of their Jaccard similarity."""
    rows = 4000
    sign = NearDuplicates(words=3, bands=rows, rows=1, seed=seed).start_signature()
    words = "the house that jack built and the cat that ate the rat that lay in the house of jack".split()
    texts = [" ".join(words), " ".join(words[:12] + ["cheese"] + words[13:]), " ".join(words[3:] + ["again"])]
    for one, other in itertools.combinations(texts, 2):
        sets = [{tuple(text.split()[i : i + 3]) for i in range(len(text.split()) - 2)} for text in (one, other)]
        jaccard = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        equal = (sign(document(one)) == sign(document(other))).mean()
        assert abs(equal - jaccard) < 4 * np.sqrt(jaccard * (1 - jaccard) / rows)


def test_near_copies_of_real_text_are_found() -> None:
    """Of pairs with a similarity of 0.8 and more, more than 95 in 100; of unlike ones, none."""
    spec = NearDuplicates()
    sign, generator = spec.start_signature(), np.random.default_rng(0)
    found, close, far, wrong = 0, 0, 0, 0
    texts = [d.text for d in itertools.islice(PythonDocs().documents(), 76) if 300 < len(d.text) < 20_000]
    before = None
    for text in texts:
        words = text.split()
        changed = list(words)
        for place in generator.integers(len(words), size=max(1, len(words) // 80)):
            changed[place] = "changed"
        one, other = (_runs(" ".join(some)) for some in (words, changed))
        near = (sign(document(" ".join(words))) == sign(document(" ".join(changed)))).any()
        if len(one & other) / len(one | other) >= 0.8:
            close, found = close + 1, found + near
        if before is not None and len(one & _runs(before)) / len(one | _runs(before)) < 0.3:
            far, wrong = far + 1, wrong + (sign(document(text)) == sign(document(before))).any()
        before = text
    assert close > 30 and found / close > 0.95
    assert far > 30 and wrong == 0


def _runs(text: str) -> set[tuple[bytes, ...]]:
    words = split_words(text)
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = document(" ".join(f"word{i * i % 91}" for i in range(500)))
    sign = NearDuplicates().start_signature()
    whole = sign(text)
    monkeypatch.setattr(near_duplicates, "_BLOCK", 64)
    monkeypatch.setattr(near_duplicates, "_REMEMBERED", 3)
    assert (sign(text) == whole).all() and (NearDuplicates().start_signature()(text) == whole).all()
    assert not (NearDuplicates(seed=1).start_signature()(text) == whole).any()


@given(text=st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii(text: str) -> None:
    assert split_words(text) == [word.encode() for word in re.findall(r"\w+", text.lower())]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's ONE_2, three!", "it s one_2 three"),
        ("Stra\u00dfe \u00c9t\u00e9", "strasse \u00e9t\u00e9"),
        ("\u6771\u4eac\u30bf\u30ef\u30fcTower", "\u6771 \u4eac \u30bf \u30ef \u30fc tower"),
        ("\u0432 \u041c\u043e\u0441\u043a\u0432\u0435", "\u0432 \u043c\u043e\u0441\u043a\u0432\u0435"),
        ("... \u2026", ""),
    ],
)
def test_words(text: str, words: str) -> None:
    assert split_words(text) == words.encode().split()


def test_short_documents() -> None:
    sign = NearDuplicates().start_signature()
    assert (sign(document("Hello, world")) == sign(document("hello world!"))).all()
    assert not (sign(document("hello world")) == sign(document("hello world again"))).any()
    assert sign(document("...")).size == 0
    join = NearDuplicates().join
    texts = ["!", "Hello, world", "?", "hello world"]
    assert join.resolve([join.pack([sign(document(text)) for text in texts])]) == [[False, False, False, True]]


def test_verdicts() -> None:
    apply = NearDuplicates().start_apply()
    one = document("text")
    assert apply(one, False).document is one
    assert apply(one, True).document is None and apply(one, True).reasons == {"near-duplicate": 1}


def test_bad_values() -> None:
    for values in ({"words": 0}, {"bands": 0}, {"rows": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=rf"NearDuplicates.{next(iter(values))} is -?\d, but must be at least"):
            NearDuplicates(**values)
