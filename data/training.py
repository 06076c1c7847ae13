"""From prepared data to the batches of a run: packing, mixture, targets and plan put together."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from etils import epath

from data.batch import Batch
from data.grouping import Grouping
from data.packing import Packing, RowTable
from data.pipeline import RowMaker, TrainPipeline, evaluation_batches
from data.plan import BatchPlan, SourceRows
from data.prepared import DataSpec, Prepared
from data.store import TokenStore
from data.targets import Field, Targets
from data.targets.base import token_fields
from data.timeline import Timeline
from data.tokenizers import Tokenizer


@dataclass(frozen=True)
class Format:
    """What a batch is made of and looks like.

    Attributes:
      packing: how the stream becomes rows.
      targets: what is asked of a row.
      sequence: the length that a config speaks of.
      groups: what groups the tokens of a training batch are told apart by; None if by none.
    """

    packing: Packing
    targets: Targets
    sequence: int
    groups: Grouping | None = None

    @property
    def length(self) -> int:
        """Tokens of the stream in a row."""
        return self.targets.raw_length(self.sequence)

    @property
    def fields(self) -> Mapping[str, Field]:
        """The arrays of a batch.

        Raises:
          ValueError: when the targets have no room in the sequence, or cannot keep documents or groups apart.
        """
        self.targets.check_documents(self.packing.keeps_apart and self.packing.shares_rows)
        fields = self.targets.fields(self.sequence, self.packing.keeps_apart)
        if self.groups is None:
            return fields
        self.targets.check_groups()
        return fields | token_fields(self.sequence, "groups")

    def maker(self, tokenizer: Tokenizer) -> RowMaker:
        """What becomes of rows of tokens of this tokenizer.

        Raises:
          ValueError: when the tokenizer lacks a token that the targets need.
        """
        make = self.targets.start(tokenizer, self.sequence)
        return RowMaker(self.length, self.packing.keeps_apart, self.fields, make, self.groups is not None)

    def tables(self, prepared: Prepared) -> dict[str, RowTable]:
        """The rows to train on of each source.

        Raises:
          ValueError: when a source is too small, or has other groups than those asked for.
        """
        sources = prepared.sources
        if self.groups is not None:
            self.groups.check({name: source.train for name, source in sources.items()})
        return {name: self._table(name, source) for name, source in sources.items()}

    def _table(self, name: str, source: Prepared) -> RowTable:
        def make(store: TokenStore) -> RowTable:
            return self.packing.training(store, self.length, epath.Path(source.directory) / "packing")

        return make(source.train) if self.groups is None else self.groups.table(name, source.train, make)

    def evaluation(
        self, store: TokenStore, tokenizer: Tokenizer, batch: int, host: int = 0, hosts: int = 1
    ) -> Iterator[Batch]:
        """Every token of a store once; see `evaluation_batches`."""
        table = self.packing.evaluation(store, self.length)
        return evaluation_batches(table, self.maker(tokenizer), batch, host, hosts)


@dataclass(frozen=True)
class Reading:
    """How much of a source has been read.

    Attributes:
      rows: how many rows.
      tokens: how many tokens, by the mean of the rows of an epoch.
      share: its part of all rows.
      due: the part that was due by the weights.
      epochs: how often it was read.
    """

    rows: int
    tokens: float
    share: float
    due: float
    epochs: float


@dataclass(frozen=True)
class Account:
    """What has been read after any number of steps, from the plan alone.

    Attributes:
      timeline: how many rows of each source a step has.
      tables: the rows of each source by name.
    """

    timeline: Timeline
    tables: dict[str, RowTable]

    def after(self, steps: int) -> dict[str, Reading]:
        """How much of each source is read in the first `steps` steps."""
        rows = self.timeline.rows(np.array([steps], np.int64))[0].tolist()
        total = max(steps * self.timeline.batch, 1)
        due = self.timeline.due(steps)
        return {
            name: Reading(
                count, count * table.tokens / table.rows, count / total, float(wanted / total), count / table.rows
            )
            for (name, table), count, wanted in zip(self.tables.items(), rows, due, strict=True)
        }

    def figures(self, steps: int) -> dict[str, float]:
        """`data/NAME/share` and `data/NAME/epochs` of each part of a mixture."""
        return {
            f"data/{name}/{key}": value
            for name, reading in self.after(steps).items()
            if name
            for key, value in (("share", reading.share), ("epochs", reading.epochs))
        }

    def plan(self, steps: int) -> Iterator[str]:
        """A line on each part of a mixture: what the run will have read of it at its end."""
        for name, reading in self.after(steps).items():
            if name:
                yield (
                    f"{name}: {reading.share:.2%} of the rows of {steps:,} steps, {reading.tokens:,.0f} tokens,"
                    f" {reading.epochs:.3g} epochs"
                )


@dataclass(frozen=True)
class Training:
    """The training batches of a host, and the account of them.

    Attributes:
      pipeline: the batches.
      account: what they are of.
    """

    pipeline: TrainPipeline
    account: Account


def training(
    spec: DataSpec,
    prepared: Prepared,
    form: Format,
    *,
    batch: int,
    steps: int,
    seed: int,
    host: int = 0,
    hosts: int = 1,
    log: Callable[[str], None] = print,
) -> Training:
    """The batches of a run.

    Args:
      spec: says how sources take turns.
      prepared: its data.
      form: how rows are made.
      batch: rows in a step, over all hosts.
      steps: the steps of the run.
      seed: chooses orders and all that is random in a row.
      host, hosts: this host's number, and how many share each batch.
      log: prints a line on what will be read of each part of a mixture.

    Raises:
      ValueError: when a source is too small or does not last, the batch cannot be shared evenly, or rows cannot
        be made of these tokens.
    """
    tables = form.tables(prepared)
    timeline = spec.timeline(list(tables.values()), batch, steps)
    plan = BatchPlan(timeline, tuple(SourceRows(name, table.rows) for name, table in tables.items()), seed)
    pipeline = TrainPipeline(plan, list(tables.values()), form.maker(prepared.tokenizer), host, hosts)
    account = Account(timeline, tables)
    for line in account.plan(steps):
        log(f"data: {line}")
    return Training(pipeline, account)
