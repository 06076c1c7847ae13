"""Damage is undone, and what is not damaged stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import FixText, Verdict
from data.document import Document


def judge(text: str, transform: FixText = FixText()) -> Verdict:
    return transform.start()(Document(text, "d", "s"))


def fixed(text: str, transform: FixText = FixText()) -> str:
    kept = judge(text, transform).document
    assert kept is not None
    return kept.text


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp437"])
@pytest.mark.parametrize("text", ["Größe, naïve, café à la carte", "voilà l’été — déjà", "Привет, мир"])
def test_what_was_read_in_the_wrong_encoding_is_read_in_the_right_one(text: str, encoding: str) -> None:
    try:
        damaged = text.encode("utf-8").decode(encoding)
    except UnicodeDecodeError:
        pytest.skip("these bytes are nothing in this encoding")
    assert judge(damaged).reasons == {"mojibake": 1}
    assert fixed(damaged) == text


def test_twice_damaged() -> None:
    twice = "café".encode().decode("cp1252").encode().decode("cp1252")
    assert fixed(twice) == "café"


def test_lines_are_repaired_one_by_one() -> None:
    assert fixed("Ein Satz, schön.\ncafÃ©\n    “quoted” text") == "Ein Satz, schön.\ncafé\n    “quoted” text"
    # A flattened no-break space is told by its place at the start of a line.
    assert fixed("One line.\nÂ another") == fixed("Â another").join(["One line.\n", ""])


@pytest.mark.parametrize(
    "text",
    [
        "“Curly” quotes ‘survive’…",
        "    if a &lt; b &amp;&amp; c:  # code\n\treturn '\u00e9'",
        "ﬁne ligatures, Ｗｉｄｅ letters, ½, x² and µ",
        "Wie soll ich meine Seele halten, daß\nsie nicht an deine rührt?",
        "日本語のテキスト。Текст. النص",
        "Âge, Éa, À propos",
    ],
)
def test_what_is_whole_stays(text: str) -> None:
    document = Document(text, "d", "s")
    verdict = FixText().start()(document)
    assert verdict.document is document and verdict == Verdict(document)


def test_terminal_colours() -> None:
    assert judge("\x1b[31merror\x1b[0m: no").reasons == {"terminal colours": 1}
    assert fixed("\x1b[31merror\x1b[0m: no") == "error: no"


@pytest.mark.parametrize(
    ("option", "text", "expected", "reason"),
    [
        ("entities", "a &lt; b &amp; c\n<b>&amp;</b>", "a < b & c\n<b>&amp;</b>", "entities"),
        ("ligatures", "ﬁne ﬂow", "fine flow", "ligatures"),
        ("widths", "Ｗｉｄｅ", "Wide", "character widths"),
        ("quotes", "“it’s”", "\"it's\"", "curly quotes"),
    ],
)
def test_options(option: str, text: str, expected: str, reason: str) -> None:
    assert fixed(text) == text
    transform = FixText(**{option: True})
    assert judge(text, transform).reasons == {reason: 1}
    assert fixed(text, transform) == expected


@given(text=st.text(st.characters(max_codepoint=127, exclude_characters="\x1b"), max_size=80))
def test_ascii_stays(text: str) -> None:
    assert fixed(text) == text


@given(text=st.text(st.sampled_from("aÃ©â€™œ Â\u00a0è“\n"), max_size=30))
def test_repair_is_final(text: str) -> None:
    assert fixed(fixed(text)) == fixed(text)
