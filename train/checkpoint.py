"""Checkpoints: saved without stopping the run, verified when read, the newest good one wins."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from train.digest import digest
from train.full_disk import told
from train.state import TrainState

FORMAT = 3
_STATE, _NOTE = "state", "note"
# Orbax counts the seconds of a save by the calendar, which may be set while it saves; the watchdog counts them well.
_FOREVER = 10**9


class Checkpoints:
    """The checkpoints of a run, by step. Saving is asynchronous and atomic; a rename makes it count.

    Args:
      directory: where they are kept.
      keep: how many of the latest stay.
      log: prints a line.
    """

    def __init__(self, directory: epath.Path, keep: int, log: Callable[[str], None] = print) -> None:
        # Orbax prints the stack of an error on its threads and then raises it here as well, where it is told once.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._directory, self._log = directory, log
        self._manager = ocp.CheckpointManager(
            directory,
            item_names=(_STATE, _NOTE),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, create=True, enable_async_checkpointing=True,
                async_options=ocp.AsyncOptions(timeout_secs=_FOREVER),
            ),
        )
        self._digest = jax.jit(digest)

    def save(self, state: TrainState) -> None:
        """Starts to save; returns once the state may be changed. A failure is raised by the next call or `close`."""
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        note = {"format": FORMAT, "digest": digests(self._digest(state))}
        with told(self._directory):
            self._manager.save(
                step, args=ocp.args.Composite(state=ocp.args.StandardSave(_tree(state)), note=ocp.args.JsonSave(note))
            )

    def restore(self, abstract: TrainState) -> TrainState | None:
        """The newest state that is whole, laid out as `abstract` says; None if there is no checkpoint.

        A checkpoint that cannot be read, or whose numbers are not those that were saved, is passed over
        with a line that says so.

        Raises ValueError if there are checkpoints and none is whole.
        """
        steps, damaged = sorted(self._manager.all_steps(), reverse=True), []
        sys.unraisablehook = _without_strays(sys.unraisablehook)
        for step in steps:
            try:
                state = self._read(step, abstract)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, an older one may be right
                reason = " ".join(str(error).split())[:200]
                self._log(f"checkpoint: {self._directory / str(step)} cannot be used; an older one is tried ({reason})")
                damaged.append(step)
                continue
            self._set_aside(damaged)
            return state
        if steps:
            raise ValueError(
                f"none of the {len(steps)} checkpoints in {self._directory} can be read; move that directory away to "
                "begin again"
            )
        return None

    def _set_aside(self, steps: list[int]) -> None:
        """Moves checkpoints out of the way of the run, which will come to these steps again."""
        aside = self._directory.parent / f"{self._directory.name}_damaged"
        for step in steps:
            aside.mkdir(parents=True, exist_ok=True)
            (self._directory / str(step)).rename(aside / f"{step}-{time.time_ns()}")
        if steps:
            self._log(f"checkpoint: {len(steps)} damaged moved to {aside}")
            self._manager.reload()

    def close(self) -> None:
        """Waits until all is on disk. Raises what went wrong."""
        with told(self._directory):
            self._manager.wait_until_finished()
            self._manager.close()

    def _read(self, step: int, abstract: TrainState) -> TrainState:
        # The note first: a state of another format has another tree, which Orbax could only call a mismatch.
        note = self._manager.restore(step, args=ocp.args.Composite(note=ocp.args.JsonRestore()))[_NOTE]
        check_format(note)
        read = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(_tree(abstract))))
        state = TrainState(**read[_STATE])
        if digests(self._digest(state)) != note["digest"]:
            raise ValueError("its numbers are not those that were saved")
        return state


def digests(state: TrainState) -> dict[str, list[int]]:
    """The digests of a state's leaves, by field."""
    return {field: [int(leaf) for leaf in jax.tree.leaves(tree)] for field, tree in state._asdict().items()}


def check_format(note: dict[str, Any]) -> None:
    """Raises ValueError unless this version reads a checkpoint with this note."""
    if note["format"] != FORMAT:
        raise ValueError(f"it has format {note['format']}, and this version reads {FORMAT}")


def _without_strays(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """When one array cannot be read, those still being read end later, on threads with nobody to tell."""

    def told(stray: Any) -> None:
        if str(stray.exc_value) != "Event loop is closed":
            hook(stray)

    return told


def _tree(state: TrainState) -> dict[str, Any]:
    return state._asdict()
