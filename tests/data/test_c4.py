"""The rules of C4, each just inside and just outside of its constant, and a page as its authors would clean it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import C4Rules, Verdict
from data.document import Document
from data.pinned_file import PinnedFile

GOOD = "This line has five words.\nThis is another good line.\nAnd here is the third."


def judge(text: str, transform: C4Rules = C4Rules()) -> Verdict:
    return transform.start()(Document(text, "d", "s"))


def test_good_text_stays() -> None:
    document = Document(GOOD, "d", "s")
    assert C4Rules().start()(document) == Verdict(document)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("It has only four.", "short line"),
        ("It ends without a mark", "line without an end mark"),
        ("It ends with an ellipsis...", "line without an end mark"),
        ("Please enable JavaScript to see this.", "line about Javascript"),
        ("By reading on you accept our Terms of Use.", "line about policies"),
        ("We, like all others, use cookies.", "line about policies"),
        (f"This is a long word: {'x' * 1001} it is.", "line with a long word"),
    ],
)
def test_lines_that_go(line: str, fault: str) -> None:
    verdict = judge(f"{GOOD}\n{line}\n{line}")
    assert verdict.document is not None and verdict.document.text == GOOD
    assert verdict.reasons == {f"c4: {fault}": 2} and list(verdict.removed) == [line, line]


@pytest.mark.parametrize(
    "line",
    [
        "Here we see five words.",
        "Is it a question of marks?",
        'She said that "it is so."',
        "Er sagte, so sei es, „ja.”",
        "This is no java script at all.",
        f"This is a long word: {'x' * 1000} it is.",
    ],
)
def test_lines_that_stay(line: str) -> None:
    assert not judge(f"{GOOD}\n{line}").reasons


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("This function is in braces: { return }.", "c4: curly bracket"),
        ("Lorem ipsum dolor sit amet, consectetur.", "c4: lorem ipsum"),
    ],
)
def test_lines_that_drop_the_page(line: str, reason: str) -> None:
    assert judge(f"{GOOD}\n{line}") == Verdict(None, {reason: 1})
    # As in the code that made C4, only where the line would stay.
    assert judge(f"{GOOD}\n{line.rstrip('.')}").document is not None


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("One is a sentence here. Two is one too! And so is three?", True),
        ("One is a sentence here. Two is one too! And so is.", True),
        ("One is a sentence here. And two is the last one.", False),
        ("The value is 3.14 here. It is e.g. not much.", False),
        ('He said: "It is so here." (She did not agree.) They went.', True),
        ("", False),
    ],
)
def test_sentences(text: str, stays: bool) -> None:
    verdict = judge(text)
    assert (verdict.document is not None) == stays
    assert stays or verdict.reasons == {"c4: too few sentences": 1}


def test_citation_marks_go() -> None:
    verdict = judge(GOOD.replace("five words.", "five words.[12]") + "\nIt is so[citation needed] they say [edit].")
    assert verdict.document is not None
    assert verdict.document.text == GOOD + "\nIt is so they say ."
    assert verdict.reasons == {"c4: citation mark": 2}


def test_a_page() -> None:
    page = f"Menu\n  Home | About\n\n{GOOD}\n\nPlease turn on Javascript to read this page.\nShare this:\n"
    verdict = judge(page)
    assert verdict.document is not None and verdict.document.text == GOOD
    assert verdict.reasons == {"c4: line without an end mark": 3, "c4: line about Javascript": 1}


def test_white_space_alone_is_a_change() -> None:
    verdict = judge(f"  {GOOD}  \n\n")
    assert verdict.document is not None and verdict.document.text == GOOD
    assert verdict.reasons == {"c4: white space": 1}


def test_lines_may_end_in_any_way() -> None:
    text = "A headline of five words\n" + GOOD
    assert judge(text, C4Rules(end_marks=())) == Verdict(Document(text, "d", "s"))


def test_the_early_version() -> None:
    early = C4Rules(min_sentences=5, min_words=3)
    assert judge(GOOD, early).document is None
    assert judge(f"{GOOD}\nThree words only. And three more.", early).document is not None


def test_bad_words(tmp_path) -> None:
    content = b"Heron\nwading bird\n\nit's\n"
    (tmp_path / "bad.txt").write_bytes(content)
    rules = C4Rules(bad_words=PinnedFile(str(tmp_path / "bad.txt"), hashlib.sha256(content).hexdigest()))
    for text in ("A HERON is a bird.", "It is a wading, bird of course.", "Well, it’s a bird."):
        assert judge(f"{GOOD}\n{text}", rules) == Verdict(None, {"c4: bad word": 1})
    for text in ("All herons are such birds.", "The birds are all wading.", "Wading birds are here too."):
        assert judge(f"{GOOD}\n{text}", rules).document is not None


LINES = st.sampled_from([*GOOD.split("\n"), " Menu", "", "Use Javascript to see this line.", "A [3] mark in a line."])


@given(lines=st.lists(LINES, max_size=8))
def test_what_is_clean_stays_clean(lines: list[str]) -> None:
    once = judge("\n".join(lines)).document
    if once is not None:
        assert C4Rules().start()(once) == Verdict(once)
