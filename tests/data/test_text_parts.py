"""Words, lines and paragraphs, against a slow reading of their definition."""

import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.curation.quality.text_parts import TextParts, text_parts

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("ab '’-.\n\t\u00a0"), max_size=40)


def slow_words(text: str) -> list[str]:
    words, word = [], ""
    for character in text + " ":
        if character in "'’":
            continue
        kind = unicodedata.category(character)
        if kind[0] in "LMN" or kind == "Pc" or character in "\u200c\u200d":
            word += character
        elif word:
            words.append(word)
            word = ""
    return words


@given(text=TEXT | st.text(st.characters(max_codepoint=127), max_size=60))
def test_words_are_as_defined(text: str) -> None:
    parts = TextParts(text)
    assert parts.words == slow_words(text)
    assert parts.characters == sum(map(len, parts.words)) == parts.lengths.sum()
    np.testing.assert_array_equal(parts.lengths, list(map(len, parts.words)))


def test_words_of_several_scripts() -> None:
    assert TextParts("Don't split well-known snake_case, e.g. 3.14!").words == [
        "Dont", "split", "well", "known", "snake_case", "e", "g", "3", "14",
    ]  # fmt: skip
    assert TextParts("it’s ’twas").words == ["its", "twas"]
    # Vowel signs are no letters, and belong to words.
    assert TextParts("हिन्दी में लिखा। “Ça va”—oui").words == ["हिन्दी", "में", "लिखा", "Ça", "va", "oui"]
    assert TextParts("می\u200cخواهم 👍 …").words == ["می\u200cخواهم"]


@given(words=st.lists(st.sampled_from(["a", "b", "A", "ab"]), max_size=20))
def test_ids_are_equal_where_words_are(words: list[str]) -> None:
    ids = TextParts(" ".join(words)).ids
    assert [[a == b for b in ids] for a in ids] == [[a == b for b in words] for a in words]
    assert sorted(set(ids.tolist())) == list(range(len(set(words))))


def test_lines_and_paragraphs() -> None:
    parts = TextParts("\n  One\nline \n \n\t\nTwo\n\n")
    assert parts.lines == ["One", "line", "Two"]
    assert parts.paragraphs == ["One\nline ", "Two"]


def test_parts_are_found_again_unless_the_text_is_long() -> None:
    assert text_parts("some text") is text_parts("some " + "text")
    assert text_parts("x" * (1 << 20)) is text_parts("x" * (1 << 20))
    assert text_parts("x" * ((1 << 20) + 1)) is not text_parts("x" * ((1 << 20) + 1))
