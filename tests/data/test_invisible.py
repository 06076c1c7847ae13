"""What nobody sees goes, unless a script is spelt with it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import RemoveInvisible, Verdict
from data.document import Document

SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


def judge(text: str) -> Verdict:
    return RemoveInvisible().start()(Document(text, "d", "s"))


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("if access:\u202e\u2066# check\u2069\u2066", "if access:# check", "direction controls"),
        ("hy\u00adphen\u00adated", "hyphenated", "soft hyphens"),
        ("zero\u200bwidth", "zerowidth", "zero-width spaces"),
        ("word\u2060joiner", "wordjoiner", "format controls"),
        ("hello\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065", "hello", "hidden tags"),
        (f"{SCOTLAND}\U000e0041", SCOTLAND, "hidden tags"),
    ],
)
def test_what_goes(before: str, after: str, reason: str) -> None:
    verdict = judge(before)
    assert verdict.document is not None and verdict.document.text == after
    assert verdict.reasons == {reason: 1}


@pytest.mark.parametrize(
    "text",
    ["plain", "می\u200cخواهم", "क्\u200dष", "👩\u200d🚀", SCOTLAND, "ភាសា\u200bខ្មែរ", "ไทย\u200bไทย", "nb\u00a0space"],
)
def test_what_stays(text: str) -> None:
    assert judge(text) == Verdict(Document(text, "d", "s"))


@given(text=st.text(st.sampled_from("aก\u200b\u00ad\u202a\u2069\u200d\U0001f3f4\U000e0067\U000e007f"), max_size=20))
def test_only_format_characters_go_and_they_go_at_once(text: str) -> None:
    once = judge(text).document
    assert once is not None
    assert RemoveInvisible().start()(once) == Verdict(once)
    visible = [c for c in text if unicodedata.category(c) != "Cf"]
    assert [c for c in once.text if unicodedata.category(c) != "Cf"] == visible
