"""Translations against a translator of the test's own, which learns the dictionary from short sentences."""

import re

import pytest

from data.sources import InventedLanguage

SOURCE = InventedLanguage(count=6000, nested=0.5)
PAIRS = [SOURCE.text(n).split("\t") for n in range(SOURCE.count)]
# A noun, a verb, a noun; and an adjective before the first.
PLAIN = [pair for pair in PAIRS if re.fullmatch("[A-J]?[a-t][K-T][a-t]", pair[0])]


def dictionary() -> tuple[dict[str, str], dict[str, str]]:
    """Words, and genders of nouns, as sentences of three words tell."""
    words, genders = {}, {}
    for (subject, verb, thing), found in (pair for pair in PLAIN if len(pair[0]) == 3):
        for word, other in ((subject, found[0]), (thing, found[1]), (verb, found[2])):
            assert words.setdefault(word, other) == other
        assert genders.setdefault(subject, found[3]) == found[3]
    for (adjective, noun, *_), found in (pair for pair in PLAIN if len(pair[0]) == 4):
        assert words.setdefault(adjective, found[1]) == found[1] and found[2] == genders[noun]
    return words, genders


def translated(source: str, words: dict[str, str], genders: dict[str, str]) -> str:
    """By recursive descent."""
    at = 0

    def phrase() -> tuple[str, str]:
        nonlocal at
        adjectives = re.match("[A-J]*", source[at:])[0]
        noun = source[at + len(adjectives)]
        at += len(adjectives) + 1
        gender = genders[noun]
        text = words[noun] + "".join(words[word] + gender for word in adjectives[::-1])
        if source[at : at + 1] == "u":
            at += 1
            text += "u" + clause("", gender)
        return text, gender

    def clause(subject: str, gender: str) -> str:
        nonlocal at
        verb = source[at]
        at += 1
        return subject + phrase()[0] + words[verb] + gender

    text = clause(*phrase())
    assert at == len(source)
    return text


def test_sentences_are_translated_by_words_order_and_agreement() -> None:
    words, genders = dictionary()
    assert len(words) == 40 and len(set(words.values())) == 40 and set(genders.values()) == set("xyz")
    assert all(translated(source, words, genders) == target for source, target in PAIRS)
    assert sum("u" in source for source, _ in PAIRS) / len(PAIRS) == pytest.approx(0.75, abs=0.03)


def test_a_seed_has_its_own_dictionary() -> None:
    assert SOURCE.text(7) == InventedLanguage(1, nested=0.5).text(7)
    assert InventedLanguage(1, seed=1).text(0) != InventedLanguage(1).text(0)
    with pytest.raises(ValueError, match="nested is 2.0, but must be from 0 to 1"):
        InventedLanguage(1, nested=2.0)
