"""Masked language modelling against BERT's procedure in plain Python, and its shares against binomial bounds."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.targets import MaskedLM, Rows, SingleTokens, WholeWords
from data.targets.documents import beginnings
from data.targets.draws import Draws
from data.tokenizers import Bytes, SentencePiece

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, SEPARATOR = target_rows.TOKENIZER, target_rows.SEPARATOR
make_rows, make_keys, texts = target_rows.make_rows, target_rows.make_keys, target_rows.texts
UNITS = st.sampled_from([SingleTokens(), WholeWords()])
MASK = TOKENIZER.special["<mask>"]


def wordy(rows: Rows, seed: int) -> Rows:
    """The same rows with spaces in them."""
    rng = np.random.default_rng(seed)
    spaces = (rng.random(rows.targets.shape) < 0.3) & (rows.weights > 0) & (rows.targets != SEPARATOR)
    return rows._replace(targets=np.where(spaces, np.int32(32), rows.targets))


def words_of(text: list[int], begins: list[bool]) -> list[list[int]]:
    """The places of each word: a word goes on until white space, a separator or another document."""
    words: list[list[int]] = []
    for place, token in enumerate(text):
        if token == SEPARATOR:
            continue
        after = place == 0 or text[place - 1] == SEPARATOR or begins[place]
        if after or (token < 256 and chr(token).isspace() and token < 128):
            words.append([])
        words[-1].append(place)
    return words


@given(seed=st.integers(0, 2**32), length=st.integers(1, 60), segments=st.booleans())
def test_whole_words_are_those_of_berts_loop(seed: int, length: int, segments: bool) -> None:
    rows, keys = wordy(make_rows(seed, 5, length, segments), seed), make_keys(seed, 5)
    batch = MaskedLM(share=0.3, unit=WholeWords()).start(TOKENIZER, length)(rows, keys)
    for row, text in enumerate(texts(rows)):
        words = words_of(text, beginnings(rows)[row].tolist())
        maskable = sum(map(len, words))
        wanted = min(max(round(maskable * 0.3), 1), maskable)
        drawn = Draws(keys[row : row + 1], 0).first(len(words))[0].tolist() if words else []
        masked: set[int] = set()
        for _, word in sorted(zip(drawn, words, strict=True)):
            if len(masked) + len(word) <= wanted:
                masked |= set(word)
        assert set(np.flatnonzero(batch["weights"][row]).tolist()) == masked


@given(seed=st.integers(0, 2**32), length=st.integers(1, 60), segments=st.booleans(), unit=UNITS)
def test_rows_can_be_rebuilt(seed: int, length: int, segments: bool, unit: SingleTokens | WholeWords) -> None:
    rows = wordy(make_rows(seed, 5, length, segments), seed)
    batch = MaskedLM(unit=unit).start(TOKENIZER, length)(rows, make_keys(seed, 5))
    masked = batch["weights"] > 0
    assert np.array_equal(np.where(masked, batch["targets"], batch["inputs"]), rows.targets)
    assert not (masked & ((rows.weights == 0) | (rows.targets == SEPARATOR))).any()
    if segments:
        assert batch["segment_ids"] is rows.segment_ids and batch["positions"] is rows.positions


@given(seed=st.integers(0, 2**32), length=st.integers(1, 60), share=st.floats(0.01, 0.99))
def test_the_share_is_kept_in_each_row(seed: int, length: int, share: float) -> None:
    rows = make_rows(seed, 5, length)
    batch = MaskedLM(share=share).start(TOKENIZER, length)(rows, make_keys(seed, 5))
    for row, text in enumerate(texts(rows)):
        maskable = sum(token != SEPARATOR for token in text)
        assert batch["weights"][row].sum() == min(max(round(maskable * share), 1), maskable)


def test_what_becomes_of_masked_tokens() -> None:
    """80% hidden, 10% random, 10% as they were, of 15%; every place is alike likely."""
    shape = (2000, 100)
    text = np.full(shape, 65, np.int32)
    rows = Rows(text, text, np.ones(shape, np.float32))
    batch = MaskedLM().start(TOKENIZER, 100)(rows, make_keys(0, 2000))
    masked = batch["weights"] > 0
    count = masked.sum()
    assert count == 2000 * 15
    found = batch["inputs"][masked]
    random = found[(found != MASK) & (found != 65)]
    # One random byte in 256 is the one that was there.
    for share, number in ((0.8, (found == MASK).sum()), (0.1 * 255 / 256, random.size)):
        assert abs(number / count - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert set(random.tolist()) == set(range(256)) - {65}
    places = masked.sum(axis=0)
    assert abs(places - 300).max() < 5 * np.sqrt(2000 * 0.15 * 0.85)


def test_words_of_pieces_are_masked_together() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs away from it again " * 30
    tokenizer = SentencePiece(vocab=320, special=("<mask>",)).train([text])
    ids = tokenizer.encode(text)[:200]
    rows = Rows(ids[None], ids[None], np.ones((1, 200), np.float32))
    batch = MaskedLM(share=0.4, unit=WholeWords()).start(tokenizer, 200)(rows, make_keys(0, 1))
    pieces = [(tokenizer.decode([token]), bool(w)) for token, w in zip(ids, batch["weights"][0], strict=True)]
    words = "".join(("\0" if piece.startswith(" ") else "") + ("#" if w else ".") * len(piece) for piece, w in pieces)
    assert all(len(set(word)) == 1 for word in words.split("\0") if word)
    assert len(pieces) > len(words.split("\0")) and 70 <= batch["weights"].sum() <= 80


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": 0.0}, "MaskedLM.share is 0.0, but must be between 0 and 1"),
        ({"hidden": 0.9, "random": 0.2}, "MaskedLM.hidden is 0.9 and MaskedLM.random 0.2"),
        ({"random": -0.1}, "MaskedLM.hidden is 0.8 and MaskedLM.random -0.1"),
    ],
)
def test_bad_specs(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskedLM(**fields)


def test_a_tokenizer_without_a_mask() -> None:
    with pytest.raises(ValueError, match=r"needs the token '<mask>', .* SentencePiece\(special=\('<mask>',\)\)"):
        MaskedLM().start(Bytes().train([]), 8)
