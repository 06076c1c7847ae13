"""Metrics on disk: one JSON object a line, and the same numbers for TensorBoard."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from data import atomic
from train.run_directory import RunDirectory


def read_metrics(path: epath.Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file; a last line that was cut off by a crash is left out."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


class MetricsLog:
    """Appends metrics to a run. After a resume at step N it goes on as if nothing after N had been written."""

    def __init__(self, run: RunDirectory, step: int) -> None:
        kept = [line for line in read_metrics(run.metrics) if line["step"] <= step]
        atomic.write_text(run.metrics, "".join(json.dumps(line) + "\n" for line in kept))
        self.latest: dict[str, Any] = {}
        for line in kept:
            self.latest |= line
        from data.tensorflow_cpu import tf

        self._path = run.metrics
        self._tf = tf
        # TensorBoard hides points of an earlier writer that this one's purge step has passed.
        self._board = tf.summary.create_file_writer(os.fspath(run.tensorboard), filename_suffix=f".{step}")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the metrics of one step."""
        line = {"step": step, **values}
        self.latest |= line
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        with self._board.as_default(step):
            for key, value in values.items():
                self._tf.summary.scalar(key, value)

    def close(self) -> None:
        """Writes out what is buffered."""
        self._board.close()
