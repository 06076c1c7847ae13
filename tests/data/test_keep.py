"""Which scores are kept: all above a threshold, or as many as the Pareto distribution says."""

import numpy as np
import pytest

from data.curation import AtLeast, ParetoKeep
from data.document import Document


def test_at_least() -> None:
    document = Document("text", "d", "s")
    assert [AtLeast(0.5).keeps(score, document) for score in (0.4999, 0.5, 1.0)] == [False, True, True]
    assert AtLeast(0.0).keeps(0.0, document)
    with pytest.raises(ValueError, match="AtLeast.threshold is 1.1"):
        AtLeast(1.1)


@pytest.mark.parametrize("alpha", [9.0, 3.0])
@pytest.mark.parametrize("score", [0.0, 0.5, 0.9, 1.0])
def test_pareto_keeps_as_often_as_numpy(alpha: float, score: float) -> None:
    number = 4000
    kept = sum(ParetoKeep(alpha).keeps(score, Document("text", str(n), "s")) for n in range(number)) / number
    drawn = (np.random.default_rng(0).pareto(alpha, number) > 1 - score).mean()
    exact = (2 - score) ** -alpha
    # Five standard errors.
    error = 5 * (exact * (1 - exact) / number) ** 0.5
    assert kept == pytest.approx(exact, abs=error + 1e-12) and drawn == pytest.approx(exact, abs=error + 1e-12)


def test_pareto_follows_from_the_id_and_the_seed() -> None:
    documents = [Document("text", str(n), "s") for n in range(200)]

    def kept(rule: ParetoKeep) -> list[bool]:
        return [rule.keeps(0.9, document) for document in documents]

    assert kept(ParetoKeep()) == kept(ParetoKeep()) != kept(ParetoKeep(seed=1))
    # Who is kept at a score is kept at a higher one.
    assert all(ParetoKeep().keeps(0.95, d) for d, k in zip(documents, kept(ParetoKeep()), strict=True) if k)
    with pytest.raises(ValueError, match="ParetoKeep.alpha is 0.0"):
        ParetoKeep(0.0)
