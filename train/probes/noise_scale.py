"""The gradient noise scale: how many tokens a step may have before more of them hardly help."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from train.hooks import Moment
from train.probe import Probe, Seen

if TYPE_CHECKING:
    from train.experiment import Experiment

_SQUARE, _TRACE, _ROW = "noise/gradient_square", "noise/trace", "noise/row_tokens"


@dataclasses.dataclass(frozen=True)
class NoiseScale(Probe):
    """The simple noise scale of McCandlish et al. 2018 (arXiv:1812.06162, appendix A.1), from gradients at two sizes.

    With per-token gradients of mean G and covariance S, the squared norm of a mean over n tokens is |G|^2 + tr(S) / n
    in expectation. A step has it at two sizes, the micro-batches and the whole, which gives unbiased estimates of
    both: `noise/gradient_square` of |G|^2, and `noise/trace` of tr(S). Micro-batches differ in their tokens n_k; the
    mean of their squared norms is |G|^2 + tr(S) * mean(1 / n_k), so their harmonic mean takes the place of the small
    batch size, and the correction is exact. A step with an empty micro-batch gives NaN, and is left out.

    Both are noisy and may be negative. After each evaluation their exponential averages over the logged steps, taken
    apart, give the ratio tr(S) / |G|^2, near which lies the critical batch size (section 2.2 there):
    `noise/critical_tokens`, and `noise/critical_rows` at the tokens that a row had on average. Tokens of a row are
    not independent; what that adds to tr(S) is the same at both sizes, as micro-batches hold whole rows.

    Attributes:
      smoothing: the share of an average that stays at each logged step.
    """

    smoothing: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"NoiseScale.smoothing is {self.smoothing}, but must be at least 0 and below 1")

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError when a step has gradients of one size only."""
        if experiment.batch.accumulate < 2:
            raise ValueError(
                f"NoiseScale compares the gradients of micro-batches with that of the batch, but batch.accumulate is "
                f"{experiment.batch.accumulate}; set it to 2 or more (the gradients of single devices are not seen)"
            )

    def measured(self, seen: Seen) -> dict[str, Float[Array, ""]]:
        big, small = 1 / seen.total.weight, seen.micro_inverse
        rows = seen.batch["weights"].shape[0]
        whole = jnp.square(optax.global_norm(seen.gradients))
        trace = (seen.micro_square - whole) / (small - big)
        return {
            _SQUARE: whole - trace * big,
            _TRACE: jnp.where(jnp.isfinite(small), trace, jnp.nan),
            _ROW: seen.total.weight / rows,
        }

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """The critical batch size, from all steps that were logged so far; nothing while it has no estimate."""
        from train.metrics import read_metrics

        lines = read_metrics(moment.directory.metrics)
        return self.critical(line for line in lines if line["step"] <= moment.step)

    def critical(self, lines: Iterable[Mapping[str, Any]]) -> Mapping[str, float]:
        """The critical batch size by the metrics of steps, in order; nothing while it has no estimate."""
        square = trace = tokens = known = 0.0
        for line in lines:
            if _TRACE in line and line[_TRACE] == line[_TRACE]:
                square, trace, tokens, known = (
                    self.smoothing * old + (1 - self.smoothing) * new
                    for old, new in (
                        (square, line[_SQUARE]), (trace, line[_TRACE]), (tokens, line[_ROW]), (known, 1.0)
                    )
                )  # fmt: skip
        if square <= 0 or trace <= 0:
            return {}
        # Averages that began at nothing: in a ratio of two that cancels, in the tokens of a row it does not.
        scale = trace / square
        return {"noise/critical_tokens": scale, "noise/critical_rows": scale * known / tokens}
