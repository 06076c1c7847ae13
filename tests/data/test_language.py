"""Documents are sorted by language, with a threshold for each."""

import pytest

from data.curation import IdentifyLanguage, Language, Verdict
from data.document import Document

# Article 1 of the Universal Declaration of Human Rights.
TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
}


def judge(text: str, transform: IdentifyLanguage = IdentifyLanguage(), language: str = "unknown") -> Verdict:
    return transform.start()(Document(text, "d", "s", language=language))


@pytest.mark.parametrize("code", TEXTS)
def test_languages_are_told_apart(code: str) -> None:
    verdict = judge(TEXTS[code])
    assert verdict.document is not None and verdict.document.language == code
    assert 0.5 <= verdict.document.meta["language_probability"] <= 1
    assert verdict.tallies == {code: 1}


def test_other_languages_are_dropped() -> None:
    transform = IdentifyLanguage(keep=(Language("en"), Language("de", 0.5)))
    assert judge(TEXTS["de"], transform).document is not None
    assert judge(TEXTS["fr"], transform) == Verdict(None, {"language: fr is not kept": 1}, tallies={"fr": 1})


def test_each_language_has_its_threshold() -> None:
    found = judge(TEXTS["en"]).document
    assert found is not None
    probability = found.meta["language_probability"]
    at = IdentifyLanguage(keep=(Language("en", probability),))
    above = IdentifyLanguage(keep=(Language("en", probability + 1e-4), Language("de", 0.0)))
    assert judge(TEXTS["en"], at).document == found
    assert judge(TEXTS["en"], above) == Verdict(None, {"language: unsure of en": 1}, tallies={"en": 1})


def test_what_is_stated_is_believed_unless_overruled() -> None:
    transform = IdentifyLanguage(keep=(Language("en"),))
    stated = Document(TEXTS["de"], "d", "s", language="en-GB")
    assert transform.start()(stated).document is stated
    assert judge(TEXTS["en"], transform, "de").reasons == {"language: de is not kept": 1}
    overruled = IdentifyLanguage(keep=(Language("en"),), overrule=True)
    assert overruled.start()(stated).reasons == {"language: de is not kept": 1}
    assert judge(TEXTS["en"], overruled, "de").document is not None


def test_only_the_beginning_is_looked_at() -> None:
    text = TEXTS["en"] + TEXTS["ru"] * 20
    assert judge(text, IdentifyLanguage(characters=len(TEXTS["en"]))).tallies == {"en": 1}
    assert judge(text, IdentifyLanguage(characters=10_000)).tallies == {"ru": 1}


@pytest.mark.parametrize("text", ["", "  \n", "12 34"])
def test_what_is_no_language_stays_unknown(text: str) -> None:
    verdict = judge(text)
    assert verdict.document is not None and verdict.document.language == "unknown"


def test_the_card_counts_languages() -> None:
    [table] = IdentifyLanguage().tables({"tallies": {"de": 2, "en": 7}})
    assert table.rows == (("en", 7), ("de", 2))
    assert not IdentifyLanguage().tables({"tallies": {}})


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match="Language.threshold is 1.5 for 'en'"):
        Language("en", 1.5)
    with pytest.raises(ValueError, match="lists a language twice: en, en"):
        IdentifyLanguage(keep=(Language("en"), Language("en", 0.5)))
    with pytest.raises(ValueError, match="IdentifyLanguage.characters is 0"):
        IdentifyLanguage(characters=0)
    with pytest.raises(ValueError, match="has 'english', which is none of the languages"):
        IdentifyLanguage(keep=(Language("english"),)).start()
