"""Masks of spans have what was asked for, and are alike likely."""

import importlib.util
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.targets.noise import span_noise

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
make_keys = target_rows.make_keys


@given(seed=st.integers(0, 2**32), data=st.data())
def test_masks_have_the_spans_that_are_asked_for(seed: int, data: st.DataObject) -> None:
    asked = []
    for _ in range(data.draw(st.integers(1, 4))):
        length = data.draw(st.integers(0, 40))
        noise = data.draw(st.integers(0, max(length - 1, 0)))
        asked.append((length, noise, data.draw(st.integers(1, min(noise, length - noise))) if noise else 0))
    length, noise, spans = np.array(asked).T
    mask = span_noise(make_keys(seed, len(asked)), length, noise, spans, 40)
    for row in range(len(asked)):
        runs = [(noisy, len(list(run))) for noisy, run in itertools.groupby(mask[row, : length[row]].tolist())]
        assert mask[row].sum() == noise[row] and not mask[row, length[row] :].any()
        assert sum(noisy for noisy, _ in runs) == spans[row]
        if spans[row]:
            assert not runs[0][0] and runs[-1][0]


def test_all_masks_are_alike_likely() -> None:
    """Chi-squared over the 18 masks of 9 tokens with 3 spans of 4: 3 cuts of the noise, 6 of the rest."""
    rows = 18_000
    same = np.ones(rows, np.int64)
    mask = span_noise(np.arange(rows, dtype=np.uint64), same * 9, same * 4, same * 3, 9)
    counts = Counter(map(bytes, mask))
    assert len(counts) == 3 * 6
    # The 99.9th percentile for 17 degrees of freedom is 40.8.
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 40.8
