"""Codes of languages."""

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from data.sources.languages import _TWO_LETTERS, bcp47


def test_codes_are_one_to_one_and_cover_a_detector() -> None:
    # ISO 639-1 has 183 codes, and once had "sh".
    assert len(_TWO_LETTERS) == len(set(_TWO_LETTERS.values())) == 184
    assert all(len(three) == 3 and len(two) == 2 for three, two in _TWO_LETTERS.items())
    known = LanguageIdentifier.from_model_file(MODEL_FILE).nb_classes
    # It has codes of three letters for what has none of two.
    two = {code for code in known if len(code) == 2}
    assert len(two) > 100 and two <= set(_TWO_LETTERS.values())


def test_tags() -> None:
    tags = [bcp47(code) for code in ("eng", "DEU", "zho", "ceb", "fr", "zh-Hant")]
    assert tags == ["en", "de", "zh", "ceb", "fr", "zh-Hant"]
