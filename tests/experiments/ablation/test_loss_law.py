"""Laws of the loss, found again in losses that they give, and their frontier by brute force."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from experiments.ablation.loss_law import LossLaw, fitted

# Hoffmann 2022, appendix D.2, equation 10.
PUBLISHED = LossLaw(1.69, 406.4, 410.7, 0.34, 0.28)
SMALL = LossLaw(1.2, 40.0, 60.0, 0.45, 0.3)


def runs(law: LossLaw, flops: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Six sizes around the best for each budget: weights, tokens, losses."""
    sizes = np.concatenate([np.sqrt(c / 120) * 2.0 ** np.arange(-2, 4) for c in flops])
    tokens = np.repeat(flops, 6) / 6 / sizes
    return sizes, tokens, law.loss(sizes, tokens)


@pytest.mark.parametrize(("law", "flops"), [(PUBLISHED, (1e18, 1e19, 1e20, 1e21)), (SMALL, (1e10, 1e11, 1e12))])
def test_a_law_is_found_again(law: LossLaw, flops: tuple[float, ...]) -> None:
    for name, value in vars(fitted(*runs(law, flops))).items():
        assert value == pytest.approx(vars(law)[name], rel=0.02), name


def test_one_run_far_off_changes_little() -> None:
    sizes, tokens, losses = runs(PUBLISHED, (1e18, 1e19, 1e20, 1e21))
    losses[0] *= 1.2
    assert fitted(sizes, tokens, losses).exponent == pytest.approx(PUBLISHED.exponent, abs=0.01)


@pytest.mark.parametrize("law", [PUBLISHED, SMALL, dataclasses.replace(SMALL, alpha=0.2)])
def test_the_exponent_is_that_of_the_best_size(law: LossLaw) -> None:
    def best(flops: float) -> float:
        loss = lambda size: float(law.loss(np.exp(size), flops / 6 / np.exp(size)))  # noqa: E731
        return minimize_scalar(loss, bounds=(0, np.log(flops)), method="bounded", options={"xatol": 1e-9}).x

    slope = (best(1e20) - best(1e16)) / np.log(1e4)
    assert slope == pytest.approx(law.exponent, abs=1e-4)


def test_too_few_runs() -> None:
    with pytest.raises(ValueError, match="5 runs are given; it takes 6 or more"):
        fitted([1.0] * 5, [1.0] * 5, [1.0] * 5)
