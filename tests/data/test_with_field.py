"""Two fields as one text."""

import pytest

from data.curation import WithField
from data.document import Document


def judged(text: str, **meta: object) -> tuple[str | None, dict[str, int], dict[str, object]]:
    found = WithField("de").start()(Document(text, "1", "test", meta=meta))
    document = found.document
    return document and document.text, dict(found.reasons), dict(document.meta) if document else {}


def test_the_other_field_stands_behind_the_mark() -> None:
    assert judged("a dog\t!", de=" ein\tHund", page=3) == ("a dog !\tein Hund", {"joined": 1}, {"page": 3})


def test_what_is_no_pair_is_dropped() -> None:
    assert judged("a dog") == (None, {"no text in 'de'": 1}, {})
    assert judged("a dog", de=3) == (None, {"no text in 'de'": 1}, {})
    assert judged(" ", de="ein Hund") == judged("a dog", de="") == (None, {"nothing on one side": 1}, {})
    with pytest.raises(ValueError, match="mark is empty"):
        WithField("de", mark="")
