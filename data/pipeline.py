"""From token stores to batches on the host: tf.data reads ahead, the plan decides what.

Nothing here holds state. The batch of a step depends on the stores, the plan and the step, and
tf.data only computes the next few of them early, in order.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer

from data.batch import Batch
from data.packing import RowTable, empty_rows
from data.permutation import mix
from data.plan import BatchPlan, rows_per_host
from data.read_ahead import ReadAhead
from data.targets import Field, MakeBatch

# Enough to hide a slow disk behind a step, few enough to cost no memory worth naming.
_READERS = 4
_READ_AHEAD = 8
# Small steps are read together, up to this many tokens and steps: a call from TensorFlow into
# Python, and the arithmetic of a plan, cost about as much for one row as for a hundred.
_TOKENS_TOGETHER = 1 << 18
_STEPS_TOGETHER = 64


@dataclass(frozen=True)
class RowMaker:
    """What becomes of rows on their way into a batch.

    Attributes:
      length: tokens in a row, as packing gives it.
      keeps_apart: whether rows tell their documents apart.
      fields: the arrays of a batch.
      make: makes a batch of rows.
      grouped: whether rows say which group their tokens are of.
    """

    length: int
    keeps_apart: bool
    fields: Mapping[str, Field]
    make: MakeBatch
    grouped: bool = False


class TrainPipeline:
    """The training batches of one host.

    Args:
      plan: which rows each step reads.
      tables: the rows of each source of the plan.
      maker: what becomes of them.
      host, hosts: this host's number, and how many share each batch.

    Raises:
      ValueError: when the plan is for other tables, or the batch cannot be shared evenly.
    """

    def __init__(
        self, plan: BatchPlan, tables: Sequence[RowTable], maker: RowMaker, host: int = 0, hosts: int = 1
    ) -> None:
        planned, found = [source.rows for source in plan.sources], [table.rows for table in tables]
        if planned != found:
            raise ValueError(f"the plan is for sources of {planned} rows, but there are {found}")
        self.plan = plan
        self.tables = tuple(tables)
        self.maker = maker
        self.host = host
        self.hosts = hosts
        self._rows = rows_per_host(plan.batch, host, hosts)
        wanted = _TOKENS_TOGETHER // (self._rows * maker.length)
        self._together = min(max(wanted, 1), _STEPS_TOGETHER)

    def from_step(self, step: int) -> Iterator[tuple[int, Batch]]:
        """Yields (step, batch) from `step` on, without end; any step costs the same to reach.

        Raises:
          ValueError: when `step` is negative.
        """
        if step < 0:
            raise ValueError(f"step is {step}, but must be at least 0")
        return self._iterate(step)

    def _iterate(self, step: int) -> Iterator[tuple[int, Batch]]:
        from data.tensorflow_cpu import tf

        options = tf.data.Options()
        options.deterministic = True
        # One map and one prefetch leave the tuner nothing to find, and its thread costs time.
        options.autotune.enabled = False
        together = self._together

        def read(steps: Any) -> Any:
            return (
                steps.map(self._read, num_parallel_calls=_READERS, deterministic=True)
                .prefetch(-(-_READ_AHEAD // together))
                .with_options(options)
            )

        with ReadAhead(step, np.iinfo(np.int64).max, together, read) as groups:
            for first, group in zip(itertools.count(step, together), groups):
                # Views: taking a group apart copies nothing.
                for index in range(together):
                    yield first + index, {name: array[index] for name, array in group.items()}

    def _read(self, step: Any) -> dict[str, Any]:
        """The batches of a group of steps, as a graph."""
        from data.tensorflow_cpu import tf

        fields = self.maker.fields
        kinds = [tf.as_dtype(field.dtype) for field in fields.values()]
        arrays = tf.numpy_function(self._gather, [step], kinds, stateful=False)
        shapes = ((self._together, self._rows, *field.shape) for field in fields.values())
        return {
            name: tf.ensure_shape(array, shape) for name, array, shape in zip(fields, arrays, shapes, strict=True)
        }

    def _gather(self, step: Integer[np.ndarray, ""] | np.integer) -> list[np.ndarray]:
        slots = self.plan.slots(int(step), self.host, self.hosts, self._together)
        rows = empty_rows(slots.row.size, self.maker.length, self.maker.keeps_apart, self.maker.grouped)
        sources = np.unique(slots.source).tolist()
        for source in sources:
            at: slice | Int64[np.ndarray, " n"] = slice(None)
            if len(sources) > 1:
                at = np.flatnonzero(slots.source == source)
            self.tables[source].fill(rows, at, slots.row[at], slots.epoch[at])
        batch = self.maker.make(rows, slots.key)
        return [
            batch[name].reshape(self._together, self._rows, *field.shape) for name, field in self.maker.fields.items()
        ]


def evaluation_batches(
    table: RowTable, maker: RowMaker, batch: int, host: int = 0, hosts: int = 1
) -> Iterator[Batch]:
    """Every row of the table once, in order, in batches of one fixed shape.

    The last batch is filled up with rows of weight 0, so that all hosts see the same number of batches. Host h
    has the rows [h * batch / hosts, (h + 1) * batch / hosts) of each. What is random in a row is the same in
    every evaluation.

    Raises:
      ValueError: when the batch cannot be shared evenly among the hosts.
    """
    if batch < 1:
        raise ValueError(f"batch is {batch}, but must be at least 1")
    return _evaluate(table, maker, batch, host, rows_per_host(batch, host, hosts))


def _evaluate(table: RowTable, maker: RowMaker, batch: int, host: int, share: int) -> Iterator[Batch]:
    for first in range(0, table.rows, batch):
        numbers = first + host * share + np.arange(share, dtype=np.int64)
        rows = empty_rows(share, maker.length, maker.keeps_apart)
        there = np.flatnonzero(numbers < table.rows)
        table.fill(rows, there, numbers[there], np.zeros(there.size, np.uint64))
        yield maker.make(rows, mix(numbers.astype(np.uint64)))
