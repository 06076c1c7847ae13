"""A verdict is one of three, and cannot be made anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.ablation.verdict import (
    MOST_SEEDS,
    Inconclusive,
    NotReproduced,
    Reproduced,
    Verdict,
    from_json,
    to_json,
)


def test_there_are_three_words() -> None:
    assert {kind.word for kind in Verdict.__subclasses__()} == {"reproduced", "not reproduced", "inconclusive"}
    assert str(Reproduced()) == "reproduced" and str(NotReproduced()) == "not reproduced"
    assert str(Inconclusive(1)) == "inconclusive (needs 1 more seed)"
    assert str(Inconclusive(7)) == "inconclusive (needs 7 more seeds)"
    assert str(Inconclusive(MOST_SEEDS)) == f"inconclusive (needs at least {MOST_SEEDS} more seeds)"


def test_there_is_no_fourth() -> None:
    with pytest.raises(TypeError, match="is no verdict"):

        class Partly(Verdict):
            word = "partly"

    with pytest.raises(TypeError, match="a verdict is"):
        Verdict()


@pytest.mark.parametrize("seeds", [0, -1, MOST_SEEDS + 1])
def test_inconclusive_says_how_many(seeds: int) -> None:
    with pytest.raises(ValueError, match="it is 1 to"):
        Inconclusive(seeds)


@given(st.one_of(st.just(Reproduced()), st.just(NotReproduced()), st.integers(1, MOST_SEEDS).map(Inconclusive)))
def test_verdicts_survive_json(verdict: Verdict) -> None:
    assert from_json(to_json(verdict)) == verdict


@pytest.mark.parametrize(
    "values", [{}, {"word": "partly"}, {"word": "inconclusive"}, {"word": "inconclusive", "seeds": "9"}]
)
def test_other_json_is_refused(values: dict) -> None:
    with pytest.raises(ValueError, match="is no verdict"):
        from_json(values)
