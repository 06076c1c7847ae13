"""Documents are kept by what a model says of them; here a model of letters, by hand."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from data.curation import Between, Perplexity, Scorer, Verdict
from data.curation.quality.perplexity import Score
from data.document import Document


@dataclass(frozen=True)
class Entropy(Scorer):
    """The bits per byte of an ASCII text under the frequencies of its own letters; none for a text of digits."""

    def start(self) -> Score:
        def score(texts: Sequence[str]) -> np.ndarray:
            assert all(texts)
            return np.array([self._bits(text) for text in texts])

        return score

    @staticmethod
    def _bits(text: str) -> float:
        if text.isdigit():
            return math.inf
        return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def judge(transform: Perplexity, *texts: str) -> list[Verdict]:
    return list(transform.start_batch()([Document(text, "d", "s", meta={"url": "u"}) for text in texts]))


def test_the_range_includes_its_ends() -> None:
    # 0, 1, 2 and 3 bits.
    texts = ("aaaaaaaa", "abababab", "abcdabcd", "abcdefgh")
    verdicts = judge(Perplexity(Entropy(), Between(1.0, 2.0)), *texts)
    assert verdicts[0] == Verdict(None, {"perplexity: too low": 1}, tallies={"0.0": 1})
    assert verdicts[3] == Verdict(None, {"perplexity: too high": 1}, tallies={"3.0": 1})
    assert [v.document and v.document.meta for v in verdicts[1:3]] == [
        {"url": "u", "bits_per_byte": 1.0}, {"url": "u", "bits_per_byte": 2.0},
    ]  # fmt: skip
    assert all(v.document for v in judge(Perplexity(Entropy()), *texts))


def test_only_the_beginning_is_scored() -> None:
    [verdict] = judge(Perplexity(Entropy(), characters=4), "aaaabcdefgh")
    assert verdict.document is not None
    assert verdict.document.meta["bits_per_byte"] == 0 and verdict.document.text == "aaaabcdefgh"


def test_what_has_no_score_is_dropped() -> None:
    empty, digits, text = judge(Perplexity(Entropy()), "", "123", "ab")
    assert empty == Verdict(None, {"empty": 1})
    assert digits == Verdict(None, {"perplexity: no finite score": 1})
    assert text.document is not None
    assert judge(Perplexity(Entropy()), "") == [Verdict(None, {"empty": 1})]


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match="Between.lowest is 2.0, but highest is 1.0"):
        Between(2.0, 1.0)
    with pytest.raises(ValueError, match="Perplexity.characters is 0"):
        Perplexity(Entropy(), characters=0)
