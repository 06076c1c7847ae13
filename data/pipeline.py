"""From a token store to batches on the host: tf.data reads ahead, the plan decides what.

Nothing here holds state. The batch of a step depends on the store, the plan and the step, and
tf.data only computes the next few of them early, in order.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Integer

from data.batch import Batch, check_segments, segments, windows
from data.plan import BatchPlan, rows_per_host
from data.read_ahead import ReadAhead
from data.store import TokenStore

# Enough to hide a slow disk behind a step, few enough to cost no memory worth naming.
_READERS = 4
_READ_AHEAD = 8
# Small steps are read together, up to this many tokens and steps: a call from TensorFlow into
# Python, and the arithmetic of a plan, cost about as much for one row as for a hundred.
_TOKENS_TOGETHER = 1 << 17
_STEPS_TOGETHER = 64


class TrainPipeline:
    """The training batches of one host.

    Args:
      store: the tokens.
      plan: which of them each step reads; made for `len(store)` tokens.
      host, hosts: this host's number, and how many share each batch.
      segments: also give `segment_ids` and `positions`, which restart with each document.

    Raises:
      ValueError: when the plan is for another number of tokens, the batch cannot be shared
        evenly, or segments are wanted of a store that has no separator.
    """

    def __init__(
        self,
        store: TokenStore,
        plan: BatchPlan,
        host: int = 0,
        hosts: int = 1,
        segments: bool = False,
    ) -> None:
        if plan.tokens != len(store):
            raise ValueError(
                f"the plan is for {plan.tokens} tokens, but {store.directory} holds {len(store)}"
            )
        check_segments(store, segments)
        self.store = store
        self.plan = plan
        self.host = host
        self.hosts = hosts
        self.segments = segments
        self._rows = rows_per_host(plan.batch, host, hosts)
        wanted = _TOKENS_TOGETHER // (self._rows * plan.sequence)
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
        """The batches of a group of steps, as a graph: NumPy copies rows, TensorFlow widens them."""
        from data.tensorflow_cpu import tf

        shape = (self._together, self._rows, self.plan.sequence)
        kinds = [tf.as_dtype(self.store.index.dtype)] + [tf.int32] * (2 * self.segments)
        tokens, *extra = tf.numpy_function(self._gather, [step], kinds, stateful=False)
        tokens = tf.reshape(tokens, (*shape[:2], shape[2] + 1))
        batch = {
            "inputs": tf.cast(tokens[..., :-1], tf.int32),
            "targets": tf.cast(tokens[..., 1:], tf.int32),
            "weights": tf.ones(shape, tf.float32),
        }
        for name, values in zip(("segment_ids", "positions"), extra, strict=False):
            batch[name] = tf.reshape(values, shape)
        return batch

    def _gather(self, step: Integer[np.ndarray, ""] | np.integer) -> list[np.ndarray]:
        starts = self.plan.rows(int(step), self.host, self.hosts, self._together)
        rows = windows(self.store, starts, self.plan.sequence)
        if not self.segments:
            return [rows]
        return [rows, *segments(rows[:, :-1] == self.store.separator)]


def evaluation_batches(
    store: TokenStore,
    sequence: int,
    batch: int,
    host: int = 0,
    hosts: int = 1,
    segments: bool = False,
) -> Iterator[Batch]:
    """Every token of the store once as a target, in order, in batches of one fixed shape.

    The last rows are padded with targets of weight 0, so that all hosts see the same number of
    batches. Host h has the rows [h * batch / hosts, (h + 1) * batch / hosts) of each.

    Raises:
      ValueError: when the store is empty, the batch cannot be shared evenly among the hosts, or
        segments are wanted of a store that has no separator.
    """
    if not len(store):
        raise ValueError(f"{store.directory} holds no tokens to evaluate on")
    if sequence < 1 or batch < 1:
        raise ValueError(f"sequence is {sequence} and batch {batch}, but both must be at least 1")
    check_segments(store, segments)
    return _evaluate(store, sequence, batch, host, rows_per_host(batch, host, hosts), segments)


def _evaluate(
    store: TokenStore, sequence: int, batch: int, host: int, share: int, with_segments: bool
) -> Iterator[Batch]:
    whole, rest = divmod(len(store), sequence)
    for first in range(0, whole + bool(rest), batch):
        numbers = first + host * share + np.arange(share, dtype=np.int64)
        filled = numbers[numbers < whole]
        tokens = np.zeros((share, sequence + 1), store.index.dtype)
        weights = np.zeros((share, sequence), np.float32)
        tokens[: filled.size] = windows(store, filled * sequence, sequence)
        weights[: filled.size] = 1
        if rest and filled.size < share and numbers[filled.size] == whole:
            last = np.array([whole * sequence])
            tokens[filled.size, : rest + 1] = windows(store, last, rest)[0]
            weights[filled.size, :rest] = 1
        made: Batch = {
            "inputs": tokens[:, :-1].astype(np.int32),
            "targets": tokens[:, 1:].astype(np.int32),
            "weights": weights,
        }
        if with_segments:
            segment_ids, positions = segments(tokens[:, :-1] == store.separator)
            made["segment_ids"] = np.where(weights > 0, segment_ids, np.int32(0))
            made["positions"] = np.where(weights > 0, positions, np.int32(0))
        yield made
