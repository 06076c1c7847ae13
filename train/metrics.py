"""Metrics on disk: one JSON object a line, and the same numbers for whoever else wants them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from data import atomic
from train.run_directory import RunDirectory
from train.writer import Writer


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
    """Appends metrics to a run. After a resume at step N it goes on as if nothing after N had been written.

    Args:
      run: whose they are.
      step: steps done before.
      writers: where they go besides.
    """

    def __init__(self, run: RunDirectory, step: int, writers: Sequence[Writer] = ()) -> None:
        kept = [line for line in read_metrics(run.metrics) if line["step"] <= step]
        atomic.write_text(run.metrics, "".join(json.dumps(line) + "\n" for line in kept))
        self.latest: dict[str, Any] = {}
        for line in kept:
            self.latest |= line
        self._path, self._writers = run.metrics, tuple(writers)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the metrics of one step."""
        line = {"step": step, **values}
        self.latest |= line
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for writer in self._writers:
            writer.write(step, values)

    def close(self) -> None:
        """Writes out what is buffered."""
        for writer in self._writers:
            writer.close()
