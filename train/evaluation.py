"""Validation: every held-out token once, averaged over tokens, in nats and in bits per byte of text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from data.prepared import Prepared
from data.store import TokenStore
from data.targets import NextToken, Targets
from data.training import Format
from sharding.axes import active
from sharding.placement import Layout
from train.experiment import Batches
from train.feed import to_devices
from train.objective import Batch, Objective
from train.position_loss import ByPosition, position_figures, sums_by_position
from train.state import Blueprint


class Evaluator:
    """Evaluates weights on held-out text. Rows do not see one another: each starts without context.

    Args:
      blueprint: the model.
      objective: what counts tokens and their loss.
      prepared: the data; every part of a mixture is evaluated on its own text.
      batch: how rows are made.
      layout: where the weights lie.
    """

    def __init__(
        self, blueprint: Blueprint, objective: Objective, prepared: Prepared, batch: Batches, layout: Layout
    ) -> None:
        self._stores = {name: part.validation for name, part in prepared.sources.items()}
        self._tokenizer, self._batch, self._layout = prepared.tokenizer, batch, layout

        def sums(weights: Any, batch: Batch) -> tuple[tuple[Array, Array], ByPosition]:
            # What is minimised is not told: parts of a model that only training asks are not computed for it.
            found, at = sums_by_position(objective, blueprint.model(weights), batch)
            return (found.nll, found.weight), at

        self._sums = jax.jit(sums, out_shardings=layout.replicated)

    def __call__(self, weights: Any) -> dict[str, float]:
        """`eval/loss` (nats a token) and `eval/tokens`, `eval/NAME/loss` of each part, `eval/bits_per_byte` where every
        token is predicted once, and the loss by position (`train.position_loss.position_figures`); the same of
        longer rows, `eval/longer_4/loss`."""
        told: dict[str, float] = {}
        for prefix, form in self._batch.evaluated.items():
            found = {name: self._totals(weights, store, form) for name, store in self._stores.items()}
            told |= figures(found, self._stores, self._batch.targets, prefix)
        return told

    def totals(self, weights: Any, store: TokenStore) -> tuple[float, float]:
        """The sum of the loss over a store, in nats, and the number of its tokens."""
        total = self._totals(weights, store, self._batch.form)
        return total.nll, total.tokens

    def _totals(self, weights: Any, store: TokenStore, form: Format) -> "Total":
        batches = form.evaluation(
            store, self._tokenizer, self._batch.evaluation_rows, jax.process_index(), jax.process_count()
        )
        # Sums stay on the device until the last batch is under way; float64 keeps the total exact.
        with active(self._layout):
            parts = [self._sums(weights, to_devices(batch, self._layout)) for batch in batches]
        return Total.of([(sums, at) for sums, at in parts])


class Total(NamedTuple):
    """Sums over a store: the loss, its tokens, and both by position, [2, stretches]."""

    nll: float
    tokens: float
    at: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[tuple[Any, Any]]) -> "Total":
        """That of batches, each ((loss, tokens), both by position)."""
        nll, tokens = (math.fsum(float(sums[i]) for sums, _ in parts) for i in range(2))
        return cls(nll, tokens, np.sum([np.asarray(at, np.float64) for _, at in parts], axis=0))


def figures(
    found: Mapping[str, Total], stores: Mapping[str, TokenStore], targets: Targets, prefix: str = "eval/"
) -> dict[str, float]:
    """What an `Evaluator` tells, of the totals of each store."""
    nll = math.fsum(total.nll for total in found.values())
    tokens = math.fsum(total.tokens for total in found.values())
    # The marks of other targets stand for text that is left out: their count alone would not tell.
    bits = bits_per_byte(nll, tokens, stores.values()) if isinstance(targets, NextToken) else None
    parts = {f"{prefix}{name}/loss": total.nll / total.tokens for name, total in found.items() if name}
    whole = {} if bits is None else {f"{prefix}bits_per_byte": bits}
    at, counts = (sum(total.at[i] for total in found.values()) for i in range(2))
    told = {f"{prefix}loss": nll / tokens, **whole, f"{prefix}tokens": tokens, **parts}
    return {**told, **position_figures(at, counts, prefix)}


def bits_per_byte(nats: float, tokens: float, stores: Iterable[TokenStore]) -> float | None:
    """Bits for each byte of the text, or None where not every token was predicted once, as with masked ones."""
    stores = list(stores)
    if tokens != sum(map(len, stores)):
        return None
    return nats / math.log(2) / sum(store.bytes for store in stores)


def in_words(figures: Mapping[str, float]) -> str:
    """The main figures of an evaluation, for people."""
    bits = figures.get("eval/bits_per_byte")
    return f"{figures['eval/loss']:.4f} nats a token" + (f", {bits:.4f} bits a byte" if bits is not None else "")
