"""Span corruption and UL2 against T5's own arithmetic and plain Python, row by row."""

import importlib.util
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.packing import BestFit, Padded, Windows
from data.targets import (
    UL2,
    DecoderOnly,
    Denoiser,
    EncoderDecoder,
    Rows,
    SpanCorruption,
    SpanDenoiser,
    Targets,
)
from data.targets.denoising import Denoising, split_spans
from data.targets.noise import span_noise
from data.tokenizers import Bytes, Characters, sentinels
from data.training import Format

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, SEPARATOR = target_rows.TOKENIZER, target_rows.SEPARATOR
make_rows, make_keys, texts = target_rows.make_rows, target_rows.make_keys, target_rows.texts
SENTINELS, MARKERS, MODES = target_rows.SENTINELS, target_rows.MARKERS, target_rows.MODES
examples, rebuilt = target_rows.examples, target_rows.rebuilt
LAYOUTS = (EncoderDecoder(), DecoderOnly())


def t5_lengths(inputs_length: int, density: float, mean_span: float) -> tuple[int, int]:
    """Tokens of a row and of its target with its end, as `random_spans_helper` of t5.data counts them."""

    def encoded(tokens: int) -> tuple[int, int]:
        noise = round(tokens * density)
        spans = round(noise / mean_span)
        return tokens - noise + spans + 1, noise + spans + 1

    tokens = inputs_length - 1
    while encoded(tokens + 1)[0] <= inputs_length:
        tokens += 1
    source, target = encoded(tokens)
    if density == 0.5 and target > source:
        # T5 goes on to take one from the target; where a span goes with the token, that leaves a place of padding.
        tokens -= 1
        target = encoded(tokens)[1]
    return tokens, target


def corrupt(text: list[int], mask: list[bool], marked: bool) -> tuple[list[int], list[int]]:
    """What is left of a row and what was taken out, run by run."""
    source, target, number = [], [], 0
    for noisy, run in itertools.groupby(zip(text, mask, strict=True), key=lambda pair: pair[1]):
        tokens = [token for token, _ in run]
        if noisy:
            marker = [SENTINELS[number]] if marked else []
            source += marker
            target += marker + tokens
            number += 1
        else:
            source += tokens
    return source, target


@pytest.mark.parametrize("mean_span", [2.0, 3.0, 8.0, 64.0])
@pytest.mark.parametrize("density", [0.1, 0.15, 0.5])
def test_lengths_are_those_of_t5(mean_span: float, density: float) -> None:
    # T5 counts no span in a row too short for half of one; here there is one at least, as in its mask.
    for sequence in [512, 1024, *range(round(mean_span / density), 700, 29)]:
        spec = SpanCorruption(density, mean_span)
        found = spec.raw_length(sequence), spec.fields(sequence)["targets"].shape[0]
        assert found == t5_lengths(sequence, density, mean_span)


def test_the_lengths_of_the_released_t5() -> None:
    assert SpanCorruption().raw_length(512) == 568
    shapes = {name: field.shape for name, field in SpanCorruption().fields(512).items()}
    assert shapes == dict.fromkeys(["inputs", "targets", "weights"], (114,)) | dict.fromkeys(
        ["source", "source_segment_ids"], (512,)
    )


def test_the_example_of_the_paper() -> None:
    """Raffel et al., 2020, figure 2; without its last sentinel, which t5.data does not write either."""
    text = "Thank you for inviting me to your party last week .".split()
    ids = {word: number for number, word in enumerate(text)}
    mask = [word in ("for", "inviting", "last") for word in text]
    source, target = split_spans(
        np.arange(11, dtype=np.int32)[None],
        np.array([mask]),
        np.array([11]),
        np.array([2]),
        np.array([True]),
        np.array([100, 99], np.int32),
    )
    words = {number: word for word, number in ids.items()} | {100: "<X>", 99: "<Y>"}
    assert " ".join(map(words.get, source.tokens.tolist())) == "Thank you <X> me to your party <Y> week ."
    assert " ".join(map(words.get, target.tokens.tolist())) == "<X> for inviting <Y> last"


@given(seed=st.integers(0, 2**32), sequence=st.integers(14, 60), layout=st.sampled_from(LAYOUTS))
def test_batches_are_those_made_row_by_row(seed: int, sequence: int, layout: EncoderDecoder | DecoderOnly) -> None:
    spec = SpanCorruption(0.3, 2.0, layout)
    rows, keys = make_rows(seed, 5, spec.raw_length(sequence)), make_keys(seed, 5)
    batch = spec.start(TOKENIZER, sequence)(rows, keys)
    for row, (text, found) in enumerate(zip(texts(rows), examples(batch), strict=True)):
        noise = min(max(round(len(text) * 0.3), 1), len(text) - 1) if len(text) > 1 else 0
        spans = min(max(round(noise / 2), 1), noise)
        counts = [np.array([count]) for count in (len(text), noise, spans)]
        (mask,) = span_noise(keys[row : row + 1], *counts, len(text) or 1).tolist()
        source, target = corrupt(text, mask[: len(text)], marked=True)
        assert found == (source, target)
        end = [SEPARATOR] if target else []
        if layout == DecoderOnly():
            whole = source + target + end
            assert batch["targets"][row].tolist() == whole + [0] * (sequence - len(whole))
            assert batch["inputs"][row].tolist() == [SEPARATOR, *batch["targets"][row, :-1].tolist()]
            expected = [0] * len(source) + [1] * (len(target) + len(end))
            assert batch["weights"][row].tolist() == expected + [0] * (sequence - len(expected))
            # What predicts the first token of the target is the last input that all may see.
            if target:
                assert batch["prefix"][row].tolist() == [1] * (len(source) + 1) + [0] * (sequence - len(source) - 1)
        else:
            assert batch["source"][row].tolist() == source + end + [0] * (sequence - len(source + end))
            longest = batch["targets"].shape[1]
            assert batch["targets"][row].tolist() == target + end + [0] * (longest - len(target + end))
            assert batch["inputs"][row].tolist() == [SEPARATOR, *batch["targets"][row, :-1].tolist()]
            assert batch["weights"][row].sum() == len(target + end)


@given(
    seed=st.integers(0, 2**32),
    sequence=st.integers(12, 80),
    layout=st.sampled_from(LAYOUTS),
    kind=st.sampled_from([SpanCorruption, UL2]),
)
def test_rows_can_be_rebuilt(
    seed: int, sequence: int, layout: EncoderDecoder | DecoderOnly, kind: type[Denoising]
) -> None:
    spec = kind(layout=layout)
    rows = make_rows(seed, 12, spec.raw_length(sequence))
    batch = spec.start(TOKENIZER, sequence)(rows, make_keys(seed, 12))
    lengths: dict[str | None, set[int]] = {}
    for denoiser, length in zip(spec.mixture, spec.lengths(sequence), strict=True):
        lengths.setdefault(denoiser.mode, set()).add(length)
    for text, (source, target) in zip(texts(rows), examples(batch), strict=True):
        found = rebuilt(source, target)
        assert found == text[: len(found)]
        mode = MODES.get(source[0]) if source and kind is UL2 else None
        assert len(found) == len(text) or len(found) in lengths[mode]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_rows_fill_the_batch(layout: EncoderDecoder | DecoderOnly) -> None:
    spec = SpanCorruption(layout=layout)
    rows = make_rows(0, 6, spec.raw_length(512), padded=False)
    batch = spec.start(TOKENIZER, 512)(rows, make_keys(0, 6))
    if layout == EncoderDecoder():
        assert batch["source_segment_ids"].all() and batch["weights"].all()
    else:
        assert (batch["weights"] + batch["prefix"])[:, :-1].all()


def test_shares_and_spans_of_many_rows() -> None:
    """0.15 of the tokens, in spans of 3: 85 tokens of 568 in 28 spans, each row alike."""
    spec = SpanCorruption()
    rows = make_rows(1, 200, 568, padded=False)
    spans: Counter[int] = Counter()
    for _, target in examples(spec.start(TOKENIZER, 512)(rows, make_keys(1, 200))):
        places = [place for place, token in enumerate(target) if token in MARKERS]
        assert len(places) == 28 and len(target) - 28 == 85
        spans.update(np.diff([*places, len(target)]) - 1)
    # A span is longer than x tokens where none of the first x gaps of 84 is among the 27 cuts.
    total, expected = 200 * 28, 1.0
    for x in range(1, 7):
        expected *= (84 - 27 - (x - 1)) / (84 - (x - 1))
        found = sum(count for length, count in spans.items() if length > x) / total
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / total)


@pytest.mark.parametrize("spec", [SpanCorruption(), UL2(layout=DecoderOnly())])
def test_what_is_refused(spec: Targets) -> None:
    name = type(spec).__name__
    rows = make_rows(0, 2, spec.raw_length(64), segments=True)
    with pytest.raises(ValueError, match=f"{name} makes one example of a row and cannot keep documents apart"):
        spec.start(TOKENIZER, 64)(rows, make_keys(0, 2))
    for packing in (BestFit(), Windows(segments=True)):
        with pytest.raises(ValueError, match=r"share it; pack with Windows\(\), or with Padded\(\)"):
            _ = Format(packing, spec, 64).fields
    for packing in (Padded(), Windows()):
        assert Format(packing, spec, 64).fields == spec.fields(64)
    with pytest.raises(ValueError, match=f"{name} ends what it makes with a separator, which the characters tokenizer"):
        spec.start(Characters().train(["abc"]), 64)
    with pytest.raises(ValueError, match="sequence is 2, which has no room for two tokens corrupted by SpanDenoiser"):
        spec.raw_length(2)


def test_tokens_that_a_tokenizer_lacks() -> None:
    few = Bytes(special=sentinels(100)).train([])
    with pytest.raises(ValueError, match=r"SpanCorruption needs the token '<extra_id_100>' and 13 others, .* bytes"):
        SpanCorruption().start(few, 2048)
    with pytest.raises(ValueError, match=r"train one .* SentencePiece\(special=\(\*sentinels\(114\),\)\)"):
        SpanCorruption().start(few, 2048)
    with pytest.raises(ValueError, match=r"UL2 needs the token '\[R\]' and 2 others"):
        UL2().start(few, 64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpanCorruption(density=1.0), r"SpanCorruption.density is 1.0, but must be between 0 and 1"),
        (lambda: SpanCorruption(mean_span=0.5), r"SpanCorruption.mean_span is 0.5, but a span has 1 token or more"),
        (lambda: SpanDenoiser(3.0, 0.0), r"SpanDenoiser.density is 0.0"),
        (lambda: UL2(()), r"UL2.denoisers is empty"),
    ],
)
def test_bad_specs(make: type[Denoiser], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_document_may_have_a_row_of_its_own() -> None:
    spec = SpanCorruption()
    rows = make_rows(0, 4, spec.raw_length(64))
    alone = rows._replace(segment_ids=rows.weights.astype(np.int32), positions=np.zeros_like(rows.targets))
    make, keys = spec.start(TOKENIZER, 64), make_keys(0, 4)
    plain, segmented = make(rows, keys), make(alone, keys)
    assert list(segmented) == list(spec.fields(64, segments=True))
    assert all(np.array_equal(plain[name], segmented[name]) for name in plain)


def test_rows_of_nothing_weigh_nothing() -> None:
    for layout in LAYOUTS:
        spec = SpanCorruption(layout=layout)
        shape = (2, spec.raw_length(512))
        rows = Rows(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32))
        batch = spec.start(TOKENIZER, 512)(rows, make_keys(0, 2))
        assert not batch["weights"].any() and not batch["targets"].any()
