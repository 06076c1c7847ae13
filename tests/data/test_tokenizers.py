"""Tokenizers lose nothing, agree with themselves after loading, and refuse what is broken."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.sources import Repeats
from data.tokenizers import (
    Bytes,
    Characters,
    SentencePiece,
    Tokenizer,
    TrainedOn,
    load_tokenizer,
    sentinels,
)

TEXTS = [
    f"Section {i}.\n\n    {topics[name][:2000]}\tand {i * 37} more.\n\n"
    for i, name in enumerate(sorted(topics)[:20])
]


@pytest.fixture(scope="module", params=["bpe", "unigram", "bytes"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "bytes":
        return Bytes().train(TEXTS)
    return SentencePiece(vocab=400, model_type=request.param).train(TEXTS)


@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
@example("  two  spaces \n\n\t tab\r\n ")
@example("\u2581 the space mark \u2581\u2581a")
@example("null \x00, <unk> </s> <0x41> \u2047 \ufeff \U0010ffff")
@example("12345 cafe\u0301 \u65e5\u672c\u8a9e \U0001f600")
def test_round_trip_is_exact(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32
    assert tokenizer.decode(ids) == text
    assert tokenizer.separator not in ids
    assert tokenizer.decode([*ids, tokenizer.separator]) == text


def test_batches_are_encoded_as_single_texts(tokenizer: Tokenizer) -> None:
    texts = [*TEXTS[:4], "", "\u2581", " "]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert ids.tolist() == tokenizer.encode(text).tolist()
    assert tokenizer.encode_batch([]) == []


def test_saved_and_loaded_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "t")
    loaded = load_tokenizer(tmp_path / "t")
    assert (loaded.hash, loaded.vocab_size, loaded.separator) == (
        tokenizer.hash,
        tokenizer.vocab_size,
        tokenizer.separator,
    )
    assert loaded.encode(TEXTS[0]).tolist() == tokenizer.encode(TEXTS[0]).tolist()


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_training_is_deterministic_and_compresses(model_type: str) -> None:
    spec = SentencePiece(vocab=400, model_type=model_type)
    one, two = spec.train(TEXTS), spec.train(iter(TEXTS))
    assert one.hash == two.hash
    assert one.vocab_size == 400
    assert one.encode(TEXTS[0]).size < len(TEXTS[0]) / 1.3
    assert one.hash != spec.train(TEXTS[:7]).hash


def test_digits_are_single_tokens_and_lines_are_learnt() -> None:
    tokenizer = SentencePiece(vocab=600).train(TEXTS + ["in 2024 and in 1999\n"] * 500)
    assert tokenizer.encode("2024").size == 4 and tokenizer.encode("1999").size == 4
    assert tokenizer.encode(".\n\n").size < 3


def test_training_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    SentencePiece(vocab=400).train(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_long_lines_are_trained_on() -> None:
    # Were the line dropped for its length, its letters would have no piece of their own.
    text = "\u03b1\u03b2\u03b3" * 1300
    tokenizer = SentencePiece(vocab=264).train([text])
    assert tokenizer.encode("\u03b1\u03b2\u03b3").size < 5


NAMED = (*sentinels(2), "<mask>", 'quoted "," name')


@pytest.fixture(scope="module", params=["bpe", "unigram", "bytes"])
def named(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "bytes":
        return Bytes(special=NAMED).train(TEXTS)
    return SentencePiece(500, request.param, special=NAMED, user_defined=("for loop", "<b>")).train(TEXTS)


def test_special_tokens_stand_for_no_text_and_no_text_for_them(named: Tokenizer, tmp_path: Path) -> None:
    ids = [named.special[name] for name in NAMED]
    assert ids == list(range(ids[0], ids[0] + len(NAMED))) and max(ids) < named.vocab_size
    text = "".join(NAMED) + "</s> text, <mask>"
    encoded = named.encode(text)
    assert not {*ids, named.separator} & set(encoded.tolist())
    assert named.decode(encoded) == text
    assert named.decode([*ids[:2], *encoded, *ids[2:], named.separator]) == text
    named.save(tmp_path)
    assert load_tokenizer(tmp_path).special == named.special
    plain = Bytes().train([]) if named.type == "bytes" else SentencePiece(500).train(TEXTS)
    assert not set(NAMED) & set(plain.special) and plain.hash != named.hash


def test_what_the_user_defines_is_one_token() -> None:
    tokenizer = SentencePiece(500, user_defined=("for loop", "\n\n\n", "<b>", ",")).train(TEXTS)
    for text in ("for loop", "\n\n\n", "<b>", ","):
        assert tokenizer.encode(text).size == 1
        assert tokenizer.encode(f"A{text}A").size == tokenizer.encode("A").size * 2 + 1
        assert tokenizer.decode(tokenizer.encode(f"A{text}A")) == f"A{text}A"


def test_words_begin_with_their_white_space(named: Tokenizer) -> None:
    begins = named.begins_word()
    text = "Tokenizers 'split'\twords,\n\n  or\u00e9 12 not"
    ids = named.encode(text)
    starts = [0, *(np.flatnonzero(begins[ids[1:]]) + 1), ids.size]
    words = [named.decode(ids[a:b]) for a, b in itertools.pairwise(starts)]
    assert "".join(words) == text
    # Some white space may be a word of its own, but no word has any but in front.
    assert [w.strip() for w in words if w.strip()] == text.split()
    assert all(w[0].isspace() for w in words[1:])
    assert begins[[*named.special.values(), named.separator]].all()
    assert begins.shape == (named.vocab_size,) and begins.dtype == bool


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SentencePiece(special=("<unk>",)), "special has '<unk>', which names another token"),
        (lambda: SentencePiece(special=("<m>",), user_defined=("<m>",)), "user_defined has '<m>', which names another"),
        (lambda: SentencePiece(user_defined=("<0x0A>",)), "user_defined has '<0x0A>', which names another"),
        (lambda: SentencePiece(special=("a\u2581b",)), "cannot name a token 'a\u2581b'"),
        (lambda: SentencePiece(vocab=261, special=sentinels(3)), "vocab is 261, .* take 261; choose more"),
        (lambda: Bytes(special=("a", "a")), "Bytes.special has 'a', which names another token"),
        (lambda: Bytes(special=("",)), "Bytes.special has an empty name"),
        (lambda: sentinels(-1), "sentinels is -1, but must be 0 or more"),
    ],
)
def test_names_that_cannot_be_had(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_characters_begin_words_at_white_space() -> None:
    tokenizer = Characters().train(["ab \n\u00a0"])
    assert tokenizer.begins_word().tolist() == [c.isspace() for c in tokenizer.alphabet]
    assert tokenizer.special == {}


def test_bytes_are_utf8() -> None:
    tokenizer = Bytes().train([])
    assert tokenizer.vocab_size == 257 and tokenizer.separator == 256
    assert tokenizer.encode("\u00e9a").tolist() == [0xC3, 0xA9, 0x61]
    assert tokenizer.decode([0xC3]) == "\ufffd"


def test_characters_are_sorted_as_in_nanogpt() -> None:
    text = "hello, w\u00f6rld \U0001f600\n"
    tokenizer = Characters().train([text[:5], text[5:]])
    alphabet = sorted(set(text))
    assert tokenizer.vocab_size == len(alphabet) and tokenizer.separator is None
    assert tokenizer.encode(text).tolist() == [alphabet.index(c) for c in text]
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_an_unknown_character_is_named() -> None:
    tokenizer = Characters().train(["abc"])
    for text, place in (("abz", 2), ("Aab", 0), ("b\U0001f600", 1)):
        with pytest.raises(
            ValueError, match=f"{text[place]!r} at position {place} .* 3 characters"
        ):
            tokenizer.encode(text)


def test_ids_outside_the_vocabulary_are_named(tokenizer: Tokenizer) -> None:
    for bad in (-1, tokenizer.vocab_size):
        with pytest.raises(ValueError, match=f"token id {bad} is outside the vocabulary"):
            tokenizer.decode([0, bad])


@pytest.mark.parametrize(
    ("spec", "texts", "message"),
    [
        (SentencePiece(vocab=50_000), TEXTS, r"vocab is 50000, but this text supports at most \d+"),
        (SentencePiece(), [], "found no text to train on"),
        (SentencePiece(), [""], "found no text to train on"),
        (Characters(), [""], "found no character"),
    ],
)
def test_what_cannot_be_trained(
    spec: SentencePiece | Characters, texts: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        spec.train(texts)


def test_bad_specs() -> None:
    with pytest.raises(ValueError, match="SentencePiece.vocab is 258, .* choose more"):
        SentencePiece(vocab=258)


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no tokenizer: it has no tokenizer.json"):
        load_tokenizer(tmp_path)
    SentencePiece(vocab=400).train(TEXTS).save(tmp_path)
    model, description = tmp_path / "tokenizer.model", tmp_path / "tokenizer.json"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="tokenizer.json is corrupt"):
        load_tokenizer(tmp_path)
    model.unlink()
    with pytest.raises(FileNotFoundError, match="tokenizer.model is missing"):
        load_tokenizer(tmp_path)
    record = json.loads(description.read_text())
    for change, message in (
        ({"type": "words"}, "has type 'words', but the types are bytes, characters, huggingface, sentencepiece"),
        ({"format": 9}, "has tokenizer format 9, but this code reads 1"),
        ({"type": "bytes"}, "is corrupt: the tokenizer's hash is"),
        ({"type": "characters", "state": {"alphabet": "ba"}}, "is corrupt: an alphabet must be"),
    ):
        description.write_text(json.dumps(record | change))
        with pytest.raises(ValueError, match=message):
            load_tokenizer(tmp_path)
    description.write_text("not json")
    with pytest.raises(ValueError, match="tokenizer.json is not a saved tokenizer"):
        load_tokenizer(tmp_path)


def test_trained_on_other_text() -> None:
    source, spec = Repeats(count=9, length=30), TrainedOn(Repeats(count=9, length=30), Characters(), documents=2)
    expected = Characters().train([source.text(0), source.text(1)])
    assert spec.train(["another text"]).hash == spec.train([]).hash == expected.hash
    with pytest.raises(ValueError, match="TrainedOn.documents is 0"):
        TrainedOn(source, Characters(), documents=0)
