"""Checkpoints: saved without stopping the run, verified when read, the newest good one wins."""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from sharding.hosts import meet
from train.detours import Detours, TooLongARow, jumps
from train.digest import digest
from train.formats import FORMAT, NOTE, STATE, as_stored, cast, completed, digests_in, dtypes, parts_of
from train.full_disk import told
from train.retention import Keep, Saved
from train.state import TrainState

# Orbax counts the seconds of a save by the calendar, which may be set while it saves; the watchdog counts them well.
_FOREVER = 10**9


class Checkpoints:
    """The checkpoints of a run, by step. Saving is asynchronous and atomic; a rename makes it count.

    Each holds all that is needed to go on anywhere: the state, and in its note the config, the data position, what
    makes randomness, and digests of all numbers.

    Args:
      directory: where they are kept.
      keep: which of them stay.
      log: prints a line.
      about: what each says of the run it is of; see `train.provenance`.
      detours: batches that the run passes over; checkpoints that have read them are done with.
    """

    def __init__(
        self,
        directory: epath.Path,
        keep: Keep,
        log: Callable[[str], None] = print,
        about: Mapping[str, Any] | None = None,
        detours: Detours | None = None,
    ) -> None:
        # Orbax prints the stack of an error on its threads and then raises it here as well, where it is told once.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._directory, self._log, self._about, self._detours = directory, log, dict(about or {}), detours
        self._keep, self._saved = keep, dict[int, Saved]()
        self._manager = ocp.CheckpointManager(
            directory,
            item_names=(STATE, NOTE),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self, create=True, enable_async_checkpointing=True,
                async_options=ocp.AsyncOptions(timeout_secs=_FOREVER),
            ),
        )
        self._digest = jax.jit(digest)
        self._since, self._open = time.perf_counter(), True

    def save(self, state: TrainState, metrics: Mapping[str, float] | None = None) -> dict[str, float]:
        """Starts to save; returns once the state may be changed. A failure is raised by the next call or `close`.

        `metrics` are those of this step. Returns `perf/checkpoint_blocked_seconds`, for how long training stood
        still, and `perf/checkpoint_blocked_share`, its share of the time since the save before; nothing where the
        step was saved already.
        """
        began, measured = time.perf_counter(), metrics or {}
        step = int(state.step)
        steps = self._manager.all_steps()
        if step in steps:
            return {}
        for older in set(steps) - self._saved.keys():
            self._saved[older] = self._saved_at(older)
        good, metric = not measured.get("train/skipped_in_a_row"), measured.get(self._keep.metric)
        self._saved[step] = Saved(step, good, metric)
        note = {
            "format": FORMAT,
            "digest": digests(self._digest(_tree(state))),
            "dtypes": {field: dtypes(tree) for field, tree in state._asdict().items()},
            "position": int(state.position),
            "incidents": jumps(self._detours.known) if self._detours else [],
            "good": good,
            "metric": metric,
            **self._about,
        }
        with told(self._directory):
            self._manager.save(
                step, args=ocp.args.Composite(state=ocp.args.StandardSave(_tree(state)), note=ocp.args.JsonSave(note))
            )
        since, self._since = self._since, time.perf_counter()
        blocked = self._since - began
        return {
            "perf/checkpoint_blocked_seconds": blocked,
            "perf/checkpoint_blocked_share": blocked / (self._since - since),
        }

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Which checkpoints stay, as Orbax asks for it."""
        stay = self._keep.stay([self._saved.get(one.step) or self._saved_at(one.step) for one in checkpoints])
        return [one.step in stay for one in checkpoints]

    def restore(self, abstract: TrainState) -> TrainState | None:
        """The newest state that is whole, laid out as `abstract` says; None if there is no checkpoint.

        It may have been saved on another mesh, by another number of hosts, and in other types of numbers: those are
        checked as they were saved, and then cast. A checkpoint that cannot be read, or whose numbers are not those
        that were saved, is passed over with a line that says so; one that has read what the run now passes over is
        deleted.

        Raises ValueError if there are checkpoints and none is whole.
        """
        steps, damaged = [], []
        sys.unraisablehook = _without_strays(sys.unraisablehook)
        for step in self._left():
            steps.append(step)
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

    def _left(self) -> list[int]:
        """The steps of checkpoints that the run may go on from, newest first; deletes the others."""
        steps = sorted(self._manager.all_steps(), reverse=True)
        undone = [step for step in steps if self._undone(step)]
        if undone:
            # Nobody deletes what another process has yet to look at.
            meet("undone checkpoints")
        for step in undone:
            self._log(f"checkpoint: {self._directory / str(step)} has read what is passed over now; it is deleted")
            self._manager.delete(step)
        return [step for step in steps if step not in undone]

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
        self._open = False
        with told(self._directory):
            self._manager.wait_until_finished()
            self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A run that goes back opens these again at once, and what is being written must be there by then.
        if self._open and kind is not None and issubclass(kind, TooLongARow):
            self.close()

    def _note(self, step: int) -> dict[str, Any]:
        return self._manager.restore(step, args=ocp.args.Composite(note=ocp.args.JsonRestore()))[NOTE]

    def _saved_at(self, step: int) -> Saved:
        try:
            note = self._note(step)
        except Exception:  # noqa: BLE001 - what cannot be read is no good checkpoint, whatever the reason
            return Saved(step, good=False)
        # Before format 4 nothing was ever skipped or chosen by a metric.
        return Saved(step, note.get("good", True), note.get("metric"))

    def _undone(self, step: int) -> bool:
        if self._detours is None or not self._detours.known:
            return False
        try:
            note = self._note(step)
        except Exception:  # noqa: BLE001 - told where it is read whole
            return False
        return self._detours.undone(note.get("position", step), note.get("incidents", []))

    def _read(self, step: int, abstract: TrainState) -> TrainState:
        # The note first: a state of another format has another tree, which Orbax could only call a mismatch.
        note = self._note(step)
        wanted = {part: getattr(abstract, part) for part in parts_of(note)}
        stored = {part: as_stored(note, part, tree) for part, tree in wanted.items()}
        read = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(stored)))[STATE]
        # The same program as for saving, which is then there already.
        if digests(self._digest(dict(read))) != digests_in(note, len(jax.tree.leaves(abstract.weights))):
            raise ValueError("its numbers are not those that were saved")
        return completed(cast(read, wanted), abstract)


def digests(parts: Mapping[str, Any]) -> dict[str, list[int]]:
    """The digests of a state's leaves, by field, as plain numbers."""
    return {field: [int(leaf) for leaf in jax.tree.leaves(tree)] for field, tree in parts.items()}


def check_format(note: Mapping[str, Any]) -> None:
    """Raises ValueError unless this version reads a checkpoint with this note."""
    parts_of(note)


def _without_strays(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """When one array cannot be read, those still being read end later, on threads with nobody to tell."""

    def told(stray: Any) -> None:
        if str(stray.exc_value) != "Event loop is closed":
            hook(stray)

    return told


def _tree(state: TrainState) -> dict[str, Any]:
    return state._asdict()
