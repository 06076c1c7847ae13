"""Validation: every held-out token once, averaged over tokens, in nats and in bits per byte of text."""

import math
from typing import Any

import jax

from data.pipeline import evaluation_batches
from data.store import TokenStore
from sharding.axes import active
from sharding.placement import Layout
from train.experiment import Batches
from train.feed import to_devices
from train.objective import Batch, Objective, Sums
from train.state import Blueprint


class Evaluator:
    """Evaluates weights on a store. Rows do not see one another: each starts without context."""

    def __init__(
        self, blueprint: Blueprint, objective: Objective, store: TokenStore, batch: Batches, layout: Layout
    ) -> None:
        self._store, self._batch, self._layout = store, batch, layout

        def sums(weights: Any, batch: Batch) -> Sums:
            return objective.sums(blueprint.model(weights), batch, None)

        self._sums = jax.jit(sums, out_shardings=layout.replicated)

    def __call__(self, weights: Any) -> dict[str, float]:
        """`eval/loss` (nats a token), `eval/bits_per_byte` and `eval/tokens`."""
        batches = evaluation_batches(
            self._store,
            self._batch.sequence,
            self._batch.evaluation_rows,
            jax.process_index(),
            jax.process_count(),
            self._batch.segments,
        )
        # Sums stay on the device until the last batch is under way; float64 keeps the total exact.
        with active(self._layout):
            parts = [self._sums(weights, to_devices(batch, self._layout)) for batch in batches]
        nll = math.fsum(float(part.nll) for part in parts)
        tokens = math.fsum(float(part.weight) for part in parts)
        return {
            "eval/loss": nll / tokens,
            "eval/bits_per_byte": nll / math.log(2) / self._store.bytes,
            "eval/tokens": tokens,
        }
