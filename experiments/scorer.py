"""A run of this project as the judge of documents.

In a curation recipe: `Perplexity(RunScorer("runs/smoke", step=60))`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from data.curation import Scorer
from data.curation.quality.perplexity import Score

if TYPE_CHECKING:
    from data.batch import Batch
    from experiments.restore import OpenRun


@dataclass(frozen=True)
class RunScorer(Scorer):
    """Bits per byte by the model of a run that learnt `CrossEntropy` on `NextToken` targets.

    They are those of `python -m experiments.evaluate --text=FILE`: a text and the separator after it are cut into
    rows of the length trained on, each predicted without what stood before it. A text that the run's tokenizer cannot
    encode needs infinitely many bits.

    Each worker process loads the model; where an accelerator belongs to one process at a time, use one worker.

    Attributes:
      run: the run directory.
      step: the step of its newest checkpoint, so that a run that was trained on is not taken for what it was.
      rows: how many rows are scored at a time, rounded up to what the devices share evenly.

    Raises:
      ValueError: when `rows` is less than 1; at the start, when the run is at another step or learnt something else.
      UsageError: at the start, when there is no run, or no checkpoint yet.
    """

    run: str | os.PathLike[str]
    step: int
    rows: int = 16

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"RunScorer.rows is {self.rows}, but must be at least 1")

    def start(self) -> Score:
        from data.targets import NextToken
        from experiments.restore import open_run
        from train.objective import CrossEntropy

        opened = open_run(self.run, log=lambda line: None)
        if opened.step != self.step:
            raise ValueError(f"{self.run} is at step {opened.step}, but RunScorer.step is {self.step}")
        objective, targets = opened.experiment.objective, opened.experiment.batch.targets
        if not (isinstance(objective, CrossEntropy) and isinstance(targets, NextToken)):
            kinds = f"{type(objective).__name__} on {type(targets).__name__}"
            raise ValueError(f"{self.run} learnt {kinds}, but the likelihood of a text takes CrossEntropy on NextToken")
        return _RunScore(opened, self.rows)


class _RunScore:
    def __init__(self, opened: "OpenRun", rows: int) -> None:
        import jax

        from train.cross_entropy import cross_entropy

        self._opened = opened
        ways = opened.experiment.placement.batch_divisor(opened.layout.mesh.size)
        self._rows = -(-rows // ways) * ways

        def nats(weights: object, batch: dict[str, jax.Array]) -> jax.Array:
            model = opened.blueprint.model(weights)
            logits = model.outputs(batch["inputs"], batch.get("positions"), batch.get("segment_ids"), None).logits
            return (cross_entropy(logits, batch["targets"])[0] * batch["weights"]).sum(axis=1)

        self._nats = jax.jit(nats, out_shardings=opened.layout.replicated)

    def __call__(self, texts: Sequence[str]) -> Float64[np.ndarray, " texts"]:
        from sharding.axes import active
        from train.feed import to_devices

        total, layout = np.zeros(len(texts)), self._opened.layout
        owners, rows = self._cut(texts, total)
        with active(layout):
            for first, batch in self._batches(rows):
                found = np.asarray(self._nats(self._opened.weights, to_devices(batch, layout)), np.float64)
                mine = owners[first : first + self._rows]
                np.add.at(total, mine, found[: len(mine)])
        return total / np.log(2) / [len(text.encode()) for text in texts]

    def _cut(self, texts: Sequence[str], total: Float64[np.ndarray, " texts"]) -> tuple[list[int], list[np.ndarray]]:
        """Rows of tokens, the first of each only for context, and whose they are."""
        tokenizer, sequence = self._opened.prepared.tokenizer, self._opened.experiment.batch.sequence
        separator = [] if tokenizer.separator is None else [tokenizer.separator]
        owners, rows = [], []
        for number, text in enumerate(texts):
            try:
                ids = np.asarray(tokenizer.encode(text), np.int64)
            except ValueError:
                total[number] = np.inf
                continue
            stream = np.concatenate([separator or ids[:1], ids, separator]).astype(np.int32)
            for start in range(0, len(stream) - 1, sequence):
                rows.append(stream[start : start + sequence + 1])
                owners.append(number)
        return owners, rows

    def _batches(self, rows: Sequence[np.ndarray]) -> Iterator[tuple[int, "Batch"]]:
        sequence = self._opened.experiment.batch.sequence
        for first in range(0, len(rows), self._rows):
            tokens = np.zeros((self._rows, sequence + 1), np.int32)
            weights = np.zeros((self._rows, sequence), np.float32)
            for place, row in enumerate(rows[first : first + self._rows]):
                tokens[place, : len(row)] = row
                weights[place, : len(row) - 1] = 1
            batch = {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}
            if "segment_ids" in self._opened.experiment.batch.form.fields:
                # All of a row is of one document.
                batch["segment_ids"] = weights.astype(np.int32)
                batch["positions"] = batch["segment_ids"] * np.arange(sequence, dtype=np.int32)
            yield first, batch
