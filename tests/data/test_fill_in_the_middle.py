"""Fill-in-the-middle: documents can be read back, and are cut and ordered as published."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.targets import FillInTheMiddle, Rows
from data.tokenizers import Bytes, Characters

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, SEPARATOR = target_rows.TOKENIZER, target_rows.SEPARATOR
make_rows, make_keys, texts = target_rows.make_rows, target_rows.make_keys, target_rows.texts
PRE, SUF, MID = (TOKENIZER.special[f"<fim_{name}>"] for name in ("prefix", "suffix", "middle"))


def read(document: list[int]) -> tuple[str, list[int], list[int], list[int]]:
    """The order of a document, and its prefix, middle and suffix; without any of these if it was left as it is.

    A prefix of no tokens makes the two orders one; it counts as SPM, of which prefix and middle are read as one.
    """
    end = document[-1:] if document[-1] == SEPARATOR else []
    text = document[: len(document) - len(end)]
    if PRE not in text:
        return "left", document, [], []
    suffix = text[text.index(SUF) + 1 : text.index(MID)]
    rest = text[text.index(MID) + 1 :]
    if text[1] == SUF:
        return "SPM", [], rest, suffix + end
    return "PSM", text[1 : text.index(SUF)], rest, suffix + end


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 50),
    segments=st.booleans(),
    rate=st.sampled_from([0.0, 0.5, 1.0]),
    spm_rate=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_documents_can_be_rebuilt(seed: int, length: int, segments: bool, rate: float, spm_rate: float) -> None:
    rows = make_rows(seed, 4, length, segments)
    batch = FillInTheMiddle(rate, spm_rate).start(TOKENIZER, length)(rows, make_keys(seed, 4))
    assert batch["weights"] is rows.weights
    assert not batch["targets"][rows.weights == 0].any() and not batch["inputs"][rows.weights == 0].any()
    for row, text in enumerate(texts(rows)):
        place, before = 0, SEPARATOR
        for document in target_rows.documents_of(rows, row):
            made = batch["targets"][row, place : place + len(document)].tolist()
            order, prefix, middle, suffix = read(made)
            content = len(document) - (document[-1] == SEPARATOR)
            if order == "left":
                assert made == document and (rate < 1 or content <= 3)
            else:
                kept = document[: content - 3] + document[content:]
                assert prefix + middle + suffix == kept and rate > 0 and content > 3
                assert order == "SPM" or spm_rate < 1
            assert batch["inputs"][row, place : place + len(document)].tolist() == [before, *made[:-1]]
            place, before = place + len(document), made[-1]
        assert place == len(text)
    if segments:
        assert batch["segment_ids"] is rows.segment_ids and batch["positions"] is rows.positions


def test_orders_as_published() -> None:
    """Bavarian et al., 2022, section 3 (PSM) and appendix D (SPM, variant 2), on the numbers 1 to 12."""
    document = np.arange(13, dtype=np.int32)[None]
    rows = Rows(document[:, :-1], document[:, 1:], np.ones((1, 12), np.float32))
    text, seen = list(range(1, 10)), set()
    for seed in range(30):
        for spm_rate in (0.0, 1.0):
            batch = FillInTheMiddle(1.0, spm_rate).start(TOKENIZER, 12)(rows, make_keys(seed, 1))
            made = batch["targets"][0].tolist()
            suffix = made.index(MID) - made.index(SUF) - 1
            low, high = made.index(SUF) - 1, 9 - suffix
            if spm_rate:
                assert made == [PRE, SUF, *text[high:], MID, *text[:high]]
            else:
                assert made == [PRE, *text[:low], SUF, *text[high:], MID, *text[low:high]]
                seen.add((low, high))
    assert len(seen) > 15


def test_rates_and_cuts() -> None:
    """Half of the documents are moved, half of these have the suffix first, and cuts are uniform."""
    count, length = 8000, 13
    targets = np.tile(np.arange(1, length + 1, dtype=np.int32), (count, 1))
    rows = Rows(targets - 1, targets, np.ones((count, length), np.float32))
    batch = FillInTheMiddle().start(TOKENIZER, length)(rows, make_keys(0, count))
    found = [read(row) for row in batch["targets"].tolist()]
    orders = Counter(order for order, *_ in found)
    # Of two uniform cuts of 10 tokens, 11 places each, 21 of 121 pairs leave no prefix: such read as SPM.
    for order, share in (("left", 0.5), ("PSM", 0.25 * 100 / 121), ("SPM", 0.25 * 142 / 121)):
        assert abs(orders[order] / count - share) < 4 * np.sqrt(share * (1 - share) / count)
    psm = [(len(prefix), 10 - len(suffix)) for order, prefix, _, suffix in found if order == "PSM"]
    cuts = Counter(psm)
    # The pair (a, b) comes about in two ways, and (a, a) in one.
    expected = {(a, b): len(psm) * (2 - (a == b)) / 100 for a in range(1, 11) for b in range(a, 11)}
    # The 99.9th percentile of chi-squared for 54 degrees of freedom is 91.9.
    assert sum((cuts[pair] - mean) ** 2 / mean for pair, mean in expected.items()) < 91.9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 1.1}, "FillInTheMiddle.rate is 1.1, but must be from 0 to 1"),
        ({"spm_rate": -0.1}, "FillInTheMiddle.spm_rate is -0.1"),
    ],
)
def test_bad_specs(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FillInTheMiddle(**fields)


def test_tokens_that_a_tokenizer_lacks() -> None:
    for tokenizer in (Bytes(special=("<fim_prefix>",)).train([]), Characters().train(["ab"])):
        with pytest.raises(ValueError, match=r"FillInTheMiddle needs the token '<fim_.*>' and .* SentencePiece\("):
            FillInTheMiddle().start(tokenizer, 8)
