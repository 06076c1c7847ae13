"""A process that makes runs: reads a folder a line, and answers each with a line: empty, or why there is no result.

It ends when its input does, in the midst of a run too: whoever asked is gone, and the run goes on from its last
checkpoint when it is asked for again.
"""

import contextlib
import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from etils import epath

from data import console

console.quiet()

from data.exits import Ended
from data.lock import locked
from data.spec import build
from data.user_code import load_file
from experiments.ablation.result import Result, read, thinned
from train.experiment import Experiment

# Metrics that tell runs apart, and nothing of what they learnt.
_LEFT_OUT = ("train/batch", "train/tokens", "perf/seconds_")
# Of the environment, what differs from run to run of the same study.
_OF_ONE_RUN = ("time", "command", "code")


def perform(folder: epath.Path) -> None:
    """Makes the run that `order.json` in a folder describes, or goes on with it, and writes `result.json` there.

    Weights are not kept: a run is made for its figures. Raises whatever the run raises.
    """
    order = json.loads((folder / "order.json").read_text())
    for path in order["files"]:
        load_file(path)
    for name in order["modules"]:
        importlib.import_module(name)
    experiment = build(order["config"], Experiment)
    with _waited_for(folder):
        if read(folder / "result.json") is not None:
            return
        _train(experiment, folder, epath.Path(order["data"]))
        result_of(folder, experiment, order["address"]).write(folder / "result.json")
        (folder / "run" / "checkpoints").rmtree(missing_ok=True)


def result_of(folder: epath.Path, experiment: Experiment, address: str) -> Result:
    """What is kept of the finished run in a folder."""
    from experiments.report_record import read as read_run
    from train.clock import read_clock
    from train.run_directory import RunDirectory
    from train.state import Blueprint

    run = RunDirectory(folder / "run")
    record = read_run(run)
    series = {key: thinned(points) for key, points in record.series.items() if not key.startswith(_LEFT_OUT)}
    tokens = experiment.batch.tokens(experiment.steps)
    return Result(
        address=address,
        series=series,
        steps=experiment.steps,
        tokens=tokens,
        weights=Blueprint(experiment.model).count(),
        flops=experiment.flops_per_token * tokens,
        seconds=read_clock(run.clock).get("seconds", {}),
        environment={key: value for key, value in record.environment.items() if key not in _OF_ONE_RUN},
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
            perform(epath.Path(folders.get()))
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
