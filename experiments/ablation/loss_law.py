"""The loss as a function of weights and tokens, fitted to runs (Hoffmann 2022, section 3.3 and appendix D.2)."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize, nnls
from scipy.special import huber, logsumexp

# Beyond so large a residual of the logarithm a run counts by its distance, not the square of it.
_DELTA = 1e-3
# The fit has several minima, of which the lowest is taken that is found from the best of these exponents. With them the
# law is linear in the rest.
_EXPONENTS = np.linspace(0.05, 1.5, 30)
_STARTS = 4
# Less than this share of the loss no term is at a start: its logarithm is sought.
_LEAST = 1e-3
_FEWEST = 6

Vector = Float64[np.ndarray, "..."]


@dataclasses.dataclass(frozen=True)
class LossLaw:
    """E + A / N^alpha + B / D^beta, for N weights and D tokens (equation 2).

    Attributes:
      entropy: E, what no model gets below.
      of_weights: A.
      of_tokens: B.
      alpha: exponent of the weights.
      beta: exponent of the tokens.
    """

    entropy: float
    of_weights: float
    of_tokens: float
    alpha: float
    beta: float

    @property
    def exponent(self) -> float:
        """That with which the best number of weights grows with FLOPs, where these go as their product with tokens
        (equation 4)."""
        return self.beta / (self.alpha + self.beta)

    def loss(self, weights: Vector, tokens: Vector) -> Vector:
        """In the unit of the losses that it was fitted to."""
        return self.entropy + self.of_weights / weights**self.alpha + self.of_tokens / tokens**self.beta


def fitted(weights: Sequence[float], tokens: Sequence[float], losses: Sequence[float]) -> LossLaw:
    """The law of these runs, by the Huber loss of its logarithm, with L-BFGS from several starts (equation 3).

    Starts are the best by least squares of a grid of exponents. Residuals are summed and not averaged: the minimum is
    so flat that averages end the search far from it (Besiroglu 2024, arXiv:2404.10102, section 3).

    Raises ValueError for fewer than six runs, one more than the law has parameters.
    """
    if len(losses) < _FEWEST:
        raise ValueError(f"a loss law has 5 parameters, but {len(losses)} runs are given; it takes {_FEWEST} or more")
    n, d, y = (np.log(np.asarray(each, np.float64)) for each in (weights, tokens, losses))
    # Centred, exponents and factors hardly depend on each other.
    n_middle, d_middle = n.mean(), d.mean()
    n, d = n - n_middle, d - d_middle

    def cost(at: Vector) -> tuple[float, Vector]:
        e, a, b, alpha, beta = at
        terms = np.stack([np.full_like(y, e), a - alpha * n, b - beta * d])
        found = logsumexp(terms, axis=0)
        residual = found - y
        shares = np.exp(terms - found) * np.clip(residual, -_DELTA, _DELTA)
        slope = [*shares.sum(axis=1), -(shares[1] * n).sum(), -(shares[2] * d).sum()]
        return huber(_DELTA, residual).sum() / _DELTA**2, np.array(slope) / _DELTA**2

    ends = (minimize(cost, start, jac=True, method="L-BFGS-B") for start in _starts(n, d, y))
    e, a, b, alpha, beta = min(ends, key=lambda end: end.fun).x
    factors = np.exp([e, a + alpha * n_middle, b + beta * d_middle])
    return LossLaw(*map(float, factors), float(alpha), float(beta))


def _starts(n: Vector, d: Vector, y: Vector) -> list[Vector]:
    """Log E, log A, log B, alpha and beta from which to begin, of the logarithms of weights, tokens and losses."""
    found = []
    for alpha, beta in itertools.product(_EXPONENTS, _EXPONENTS):
        terms = np.stack([np.ones_like(y), np.exp(-alpha * n), np.exp(-beta * d)], axis=1)
        # Of the loss as a share, as the logarithm has it.
        factors, off = nnls(terms / np.exp(y)[:, None], np.ones_like(y))
        logs = np.log(np.maximum(factors, _LEAST * np.exp(y.min())))
        found.append((off, np.array([*logs, alpha, beta])))
    return [start for _, start in sorted(found, key=lambda each: each[0])[:_STARTS]]
