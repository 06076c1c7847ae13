"""Pairs of texts against what they were made of."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.targets import DecoderOnly, EncoderDecoder, Pairs, Rows
from data.tokenizers import Characters

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, SEPARATOR, MARK = target_rows.TOKENIZER, target_rows.SEPARATOR, ord("\t")


def padded(texts: list[list[int]], length: int) -> Rows:
    """Rows as `Padded()` makes them of documents that end with a separator, cut where a row ends."""
    kinds = (np.int32, np.int32, np.float32, np.int32, np.int32)
    rows = Rows(*(np.zeros((len(texts), length), kind) for kind in kinds))
    for row, text in enumerate(texts):
        tokens = [*text, SEPARATOR][:length]
        rows.inputs[row, : len(tokens)] = [SEPARATOR, *tokens[:-1]]
        rows.targets[row, : len(tokens)] = tokens
        rows.weights[row, : len(tokens)] = rows.segment_ids[row, : len(tokens)] = 1
        rows.positions[row, : len(tokens)] = range(len(tokens))
    return rows


texts = st.lists(st.lists(st.sampled_from([MARK, 65, 66, 67]), max_size=16), min_size=1, max_size=5)


@given(documents=texts, sequence=st.integers(12, 20), both=st.booleans())
def test_what_follows_the_mark_is_predicted_from_what_comes_before(
    documents: list[list[int]], sequence: int, both: bool
) -> None:
    targets = Pairs(target=6, layout=EncoderDecoder() if both else DecoderOnly())
    length = targets.raw_length(sequence)
    batch = targets.start(TOKENIZER, sequence)(padded(documents, length), target_rows.make_keys(0, len(documents)))
    room = length - 6 - 1
    for text, (source, target) in zip(documents, target_rows.examples(batch), strict=True):
        first = text.index(MARK) if MARK in text[:length] else None
        wanted = [] if first is None else text[first + 1 : min(first + 1 + 6, length)]
        assert target == wanted
        if wanted:
            assert source == [*text[:first][: room - 1], MARK]
    for name, field in targets.fields(sequence).items():
        assert batch[name].shape == (len(documents), *field.shape) and batch[name].dtype == field.dtype


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="Pairs.target is 0"):
        Pairs(target=0)
    with pytest.raises(ValueError, match="sequence is 4, which has no room for a pair with a target of 9 tokens"):
        Pairs(target=9).fields(4)
    with pytest.raises(ValueError, match="is 2 tokens of the bytes tokenizer; take a text that is one"):
        Pairs(target=2, mark="=>").start(TOKENIZER, 8)
    with pytest.raises(ValueError, match="separator"):
        Pairs(target=2).start(Characters().train(["a\t"]), 8)
    rows = target_rows.make_rows(0, 2, 20, segments=True, padded=False)
    with pytest.raises(ValueError, match="one document a row"):
        Pairs(target=4).start(TOKENIZER, 8)(rows, target_rows.make_keys(0, 2))
