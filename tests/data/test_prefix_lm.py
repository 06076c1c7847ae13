"""Prefix language modelling against its definition, token by token."""

import importlib.util
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.targets import PrefixLM

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, SEPARATOR = target_rows.TOKENIZER, target_rows.SEPARATOR
make_rows, make_keys, texts = target_rows.make_rows, target_rows.make_keys, target_rows.texts


@given(seed=st.integers(0, 2**32), length=st.integers(1, 60), segments=st.booleans())
def test_each_document_has_a_prefix_and_a_rest(seed: int, length: int, segments: bool) -> None:
    rows = make_rows(seed, 5, length, segments)
    batch = PrefixLM().start(TOKENIZER, length)(rows, make_keys(seed, 5))
    for name in ("inputs", "targets"):
        assert batch[name] is getattr(rows, name)
    for row, text in enumerate(texts(rows)):
        documents = target_rows.documents_of(rows, row) if segments else [text] if text else []
        place = 0
        for document in documents:
            prefix = batch["prefix"][row, place : place + len(document)].tolist()
            weights = batch["weights"][row, place : place + len(document)].tolist()
            given_tokens = sum(prefix) - 1
            assert min(1, len(document) - 1) <= given_tokens <= len(document) - 1
            assert prefix == [1] * (given_tokens + 1) + [0] * (len(document) - given_tokens - 1)
            # What an input sees without being allowed to predict it: the targets within the prefix.
            assert weights == [0] * given_tokens + [1] * (len(document) - given_tokens)
            place += len(document)
        assert not batch["prefix"][row, place:].any() and not batch["weights"][row, place:].any()


def test_prefixes_are_uniform() -> None:
    rows = make_rows(0, 9000, 10, padded=False)
    batch = PrefixLM().start(TOKENIZER, 10)(rows, make_keys(0, 9000))
    counts = np.bincount(batch["prefix"].sum(axis=1) - 1, minlength=11)
    assert not counts[0] and not counts[10]
    # The 99.9th percentile of chi-squared for 8 degrees of freedom is 26.1.
    assert ((counts[1:10] - 1000) ** 2 / 1000).sum() < 26.1
