"""UL2's mixture: which denoisers, how often, and what each takes out."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data.targets import UL2, DecoderOnly, PrefixDenoiser, Rows, SpanDenoiser
from data.tokenizers import Bytes, sentinels

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, MARKERS, MODES = target_rows.TOKENIZER, target_rows.MARKERS, target_rows.MODES
make_rows, make_keys, examples = target_rows.make_rows, target_rows.make_keys, target_rows.examples


def test_the_mixture_of_ul2() -> None:
    """Seven denoisers, alike often: two of R, one of S, four of X; each takes out its share."""
    spec, rows = UL2(), 1400
    assert [(d.mode, d.lengths(1000)) for d in spec.denoisers[:2]] == [
        ("[R]", (1 + 850 + 50, 150 + 50, 1051 + 50)),
        ("[R]", (1 + 850 + 19, 150 + 19, 1001 + 38)),
    ]
    text = np.full((rows, spec.raw_length(256)), 7, np.int32)
    made = spec.start(TOKENIZER, 256)(Rows(text, text, np.ones(text.shape, np.float32)), make_keys(2, rows))
    found = examples(made)
    modes = Counter(MODES[source[0]] for source, _ in found)
    for mode, share in (("[R]", 2 / 7), ("[S]", 1 / 7), ("[X]", 4 / 7)):
        assert abs(modes[mode] / rows - share) < 4 * np.sqrt(share * (1 - share) / rows)
    prefixes = []
    shares: Counter[tuple[str, float]] = Counter()
    for source, target in found:
        mode = MODES[source[0]]
        taken = [token for token in target if token not in MARKERS]
        kept = [token for token in source[1:] if token not in MARKERS]
        if mode == "[S]":
            assert len(taken) == len(target) and len(kept) == len(source) - 1
            prefixes.append(len(kept))
        else:
            shares[mode, round(len(taken) / len(taken + kept), 2)] += 1
    assert set(shares) == {("[R]", 0.15), ("[X]", 0.15), ("[X]", 0.5)}
    assert abs(shares["[X]", 0.5] / modes["[X]"] - 3 / 4) < 4 * np.sqrt(3 / 16 / modes["[X]"])
    # The prefix is uniform on 1 to 254 of 255 tokens.
    assert min(prefixes) >= 1 and max(prefixes) <= 254
    assert abs(np.mean(prefixes) - 127.5) < 4 * 254 / np.sqrt(12 * len(prefixes))


def test_how_much_of_a_row_ul2_leaves_out() -> None:
    for spec, sequence, used in ((UL2(layout=DecoderOnly()), 1024, 0.927), (UL2(), 512, 0.703)):
        assert np.mean(spec.lengths(sequence)) / spec.raw_length(sequence) == pytest.approx(used, abs=5e-4)


def test_modes_of_the_released_ul2() -> None:
    names = ("[NLU]", "[S2S]")
    tokenizer = Bytes(special=(*names, *sentinels(50))).train([])
    spec = UL2((SpanDenoiser(3.0, 0.15, "[NLU]"), PrefixDenoiser("[S2S]")))
    rows = make_rows(3, 20, spec.raw_length(64), padded=False)
    batch = spec.start(tokenizer, 64)(rows, make_keys(3, 20))
    assert {*batch["source"][:, 0].tolist()} == {tokenizer.special[name] for name in names}
