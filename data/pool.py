"""A pool of worker processes for independent pieces of work, or none where one process is enough."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from data import user_code

# Pieces handed out ahead of a worker's need: enough to keep all busy, few enough to hold.
_AHEAD = 2


def run_all(
    work: Callable[..., Any], pieces: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, Any]]:
    """Yields (number, `work(*piece)`) for all pieces, as each is done.

    Args:
      work: a function of a module, so that another process finds it by name.
      pieces: its arguments.
      workers: how many processes; with 1, or a single piece, the work is done in this one.

    Raises:
      RuntimeError: when a worker process dies.
      Exception: what `work` raises; what has not begun by then is not begun.
    """
    if workers == 1 or len(pieces) <= 1:
        for number, piece in enumerate(pieces):
            yield number, work(*piece)
        return
    # Threads of TensorFlow or JAX do not survive a fork; a fresh interpreter has none.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(pieces)), context, _begin, (tuple(user_code.LOADED),))
    try:
        waiting = iter(enumerate(pieces))
        running: dict[Any, int] = {}
        while True:
            while len(running) < workers * _AHEAD and (following := next(waiting, None)):
                running[pool.submit(work, *following[1])] = following[0]
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    except BrokenProcessPool:
        raise RuntimeError(
            "a worker process died, perhaps for lack of memory; start again with fewer workers, and what is finished"
            " is not done again"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(files: tuple[str, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for file in files:
        user_code.load_file(file)


def _end_with_parent() -> None:
    """Ends this process when its parent is killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
