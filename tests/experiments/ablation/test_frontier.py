"""The claim on the exponent, on runs whose losses a known law gives."""

import numpy as np
import pytest

from experiments.ablation.finding import Standing
from experiments.ablation.frontier import Frontier
from experiments.ablation.loss_law import LossLaw
from experiments.ablation.metric import Lower
from experiments.ablation.result import Result
from experiments.ablation.scores import Cells, Scores

LAW = LossLaw(1.69, 406.4, 410.7, 0.34, 0.28)
NAMES = ("1e18", "1e19", "1e20")


def cells(seeds: int) -> Cells:
    draw, found = np.random.default_rng(0), {}
    for name in NAMES:
        sizes = np.sqrt(float(name) / 120) * 2.0 ** np.arange(-2, 4)
        tokens = float(name) / 6 / sizes
        losses = [LAW.loss(sizes, tokens) * np.exp(1e-4 * draw.standard_normal(6)) for _ in range(seeds)]
        found[name] = {
            seed: [
                Result("address", {"loss": [(1, loss)]}, 1, round(d), round(n), 1.0, {}, {})
                for n, d, loss in zip(sizes, tokens, losses[seed], strict=True)
            ]
            for seed in range(seeds)
        }
    return found


def test_the_claim_holds_or_fails_by_the_law() -> None:
    scores = Scores.of(cells(5), Lower("loss"))
    found = Frontier(names=NAMES, low=0.4, high=0.5).decide(lambda metric: scores)
    assert found.standing is Standing.HOLDS and found.p == pytest.approx(1 / 32)
    measured = float(found.claim.partition("(it is ")[2].partition(",")[0])
    assert measured == pytest.approx(LAW.exponent, abs=0.02)
    # Kaplan's 0.73 is not this law's; two sides at once take six seeds.
    scores = Scores.of(cells(6), Lower("loss"))
    assert Frontier(names=NAMES, low=0.65, high=0.8).decide(lambda metric: scores).standing is Standing.FAILS


def test_seeds_that_lack_an_arm_do_not_count() -> None:
    some = {**cells(1), "1e20": {}}
    found = Frontier(names=NAMES, low=0.4, high=0.5).decide(lambda metric: Scores.of(some, Lower("loss")))
    assert found.standing is Standing.OPEN and "not known" in found.claim


def test_ends_the_wrong_way_round() -> None:
    with pytest.raises(ValueError, match="the first is below"):
        Frontier(names=NAMES, low=0.5, high=0.4)
