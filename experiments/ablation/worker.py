"""A process that makes runs: reads a list of folders a line, and answers each with a line: empty, or why there is no
result. The runs of several folders are trained as one program.

It is bound to the cores that it is given as arguments. It ends when its input does, in the midst of a run too: whoever
asked is gone, and the run goes on from its last checkpoint when it is asked for again.
"""

import contextlib
import hashlib
import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from etils import epath

from data import console

if cores := [int(core) for core in sys.argv[1:] if __name__ == "__main__"]:
    # Before libraries count the cores that they may use.
    os.sched_setaffinity(0, cores)
console.quiet()

from data.exits import Ended
from data.lock import locked
from data.spec import build
from data.user_code import load_file
from experiments.ablation.result import Points, Result, read, thinned
from train.experiment import Experiment

# Metrics that tell runs apart, and nothing of what they learnt.
_LEFT_OUT = ("train/batch", "train/tokens", "perf/seconds_")
# Of the environment, what differs from run to run of the same study.
_OF_ONE_RUN = ("time", "command", "code")


def perform(folder: epath.Path) -> None:
    """Makes the run that `order.json` in a folder describes, or goes on with it, and writes `result.json` there.

    Weights are not kept: a run is made for its figures. Raises whatever the run raises.
    """
    order, experiment = _ordered(folder)
    with _waited_for(folder):
        if read(folder / "result.json") is not None:
            return
        _train(experiment, folder, epath.Path(order["data"]))
        result_of(folder, experiment, order["address"]).write(folder / "result.json")
        (folder / "run" / "checkpoints").rmtree(missing_ok=True)


def perform_together(folders: Sequence[epath.Path]) -> None:
    """Makes the runs of several folders that differ in numbers alone, and writes a `result.json` in each.

    What they share while they go on lies in the first of them. Raises NotTogether where they are not one program, and
    whatever the run raises.
    """
    from train.run_directory import RunDirectory, environment
    from train.together import train_together

    with contextlib.ExitStack() as stack:
        for folder in sorted(folders):
            stack.enter_context(_waited_for(folder))
        left = [folder for folder in folders if read(folder / "result.json") is None]
        if not left:
            return
        orders, experiments = zip(*map(_ordered, left), strict=True)
        name = hashlib.sha256(" ".join(order["address"] for order in orders).encode()).hexdigest()[:16]
        run = RunDirectory(left[0] / f"together-{name}")
        run.data = epath.Path(orders[0]["data"])
        began = time.perf_counter()
        with (left[0] / "log.txt").open("a") as log, contextlib.redirect_stdout(log):
            all_series = train_together(experiments, run)
        # A trial's share of what all took.
        seconds = {"together": (time.perf_counter() - began) / len(left)}
        for folder, order, experiment, series in zip(left, orders, experiments, all_series, strict=True):
            _result(order["address"], experiment, series, seconds, environment([])).write(folder / "result.json")
        run.path.rmtree(missing_ok=True)


def _ordered(folder: epath.Path) -> tuple[dict[str, Any], Experiment]:
    """What is asked for in a folder."""
    order = json.loads((folder / "order.json").read_text())
    for path in order["files"]:
        load_file(path)
    for name in order["modules"]:
        importlib.import_module(name)
    return order, build(order["config"], Experiment)


def result_of(folder: epath.Path, experiment: Experiment, address: str) -> Result:
    """What is kept of the finished run in a folder."""
    from experiments.report_record import read as read_run
    from train.clock import read_clock
    from train.run_directory import RunDirectory

    run = RunDirectory(folder / "run")
    record = read_run(run)
    seconds = read_clock(run.clock).get("seconds", {})
    return _result(address, experiment, record.series, seconds, record.environment)


def _result(
    address: str,
    experiment: Experiment,
    series: Mapping[str, Points],
    seconds: Mapping[str, float],
    environment: Mapping[str, Any],
) -> Result:
    from train.state import Blueprint

    tokens = experiment.batch.tokens(experiment.steps)
    return Result(
        address=address,
        series={key: thinned(points) for key, points in series.items() if not key.startswith(_LEFT_OUT)},
        steps=experiment.steps,
        tokens=tokens,
        weights=Blueprint(experiment.model).count(),
        flops=experiment.flops_per_token * tokens,
        seconds=seconds,
        environment={key: value for key, value in environment.items() if key not in _OF_ONE_RUN},
    )


def _train(experiment: Experiment, folder: epath.Path, data: epath.Path) -> None:
    from train.loop import train
    from train.run_directory import RunDirectory

    run = RunDirectory(folder / "run")
    # Runs on the same data share it.
    run.data = data
    with (folder / "log.txt").open("a") as log, contextlib.redirect_stdout(log):
        train(experiment, run, hang_timeout=300.0)


@contextlib.contextmanager
def _waited_for(folder: epath.Path) -> Iterator[None]:
    """Keeps others out of a folder; another study may be making the same run just now."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder, "wait"))
                break
            except RuntimeError:
                time.sleep(0.5)
        yield


def serve(lines: TextIO, answers: TextIO) -> None:
    """Makes the runs of the folders that come in."""
    folders: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in lines:
            folders.put(line.strip())
        os._exit(0)

    threading.Thread(target=listen, name="listen", daemon=True).start()
    while True:
        why = ""
        try:
            paths = [epath.Path(path) for path in json.loads(folders.get())]
            if len(paths) == 1:
                perform(paths[0])
            else:
                perform_together(paths)
        except Ended:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this run, the next may go well
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        answers.write(f"{why}\n")
        answers.flush()


if __name__ == "__main__":
    from sharding.host_memory import one_program_at_a_time
    from train.startup import keep_compiled

    keep_compiled()
    one_program_at_a_time()
    with contextlib.suppress(KeyboardInterrupt):
        serve(sys.stdin, sys.stdout)
