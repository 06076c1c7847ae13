"""The checkpoints of a run that is only read: another run's, or one that has ended."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from data.spec import build
from sharding.placement import Layout, Placement
from train.digest import digest
from train.experiment import Experiment
from train.formats import NOTE, STATE, as_stored, cast, digests_in, parts_of
from train.run_directory import RunDirectory
from train.state import keys


class Unfit(ValueError):
    """A checkpoint that is whole, and not what is wanted: an older one would not be either."""


class SavedRun:
    """Reads checkpoints of a run; writes nothing there. A context: leaving it lets go of the files.

    Raises FileNotFoundError if there is no run, or it has no checkpoint.
    """

    def __init__(self, run: RunDirectory) -> None:
        # Orbax announces through absl that what is opened to be read is opened to be read.
        logging.getLogger("absl").setLevel(logging.ERROR)
        if not run.exists():
            raise FileNotFoundError(f"{run.path} holds no run: it has no config.json")
        if not run.steps_saved() and not (run.checkpoints / "0").exists():
            raise FileNotFoundError(
                f"{run.path} has no checkpoint yet; it gets its first after cadence.checkpoint steps"
            )
        self.run = run
        self._manager = ocp.CheckpointManager(
            run.checkpoints,
            item_names=(STATE, NOTE),
            options=ocp.CheckpointManagerOptions(read_only=True, create=False),
        )

    def __enter__(self) -> "SavedRun":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    @property
    def steps(self) -> list[int]:
        """The steps that are saved, the newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def hash(self, step: int, field: str = "weights") -> str:
        """A hash of one field of the state, as it was saved."""
        return hash_of(self._digests(step, self._note(step))[field])

    def shapes(self, step: int) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
        """The weights of a step as they were saved, by path."""
        with ocp.PyTreeCheckpointer() as reader:
            found = reader.metadata(self.run.checkpoints / str(step) / STATE).item_metadata.tree["weights"]
        return {
            keys(path): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in jax.tree.leaves_with_path(found)
        }

    def counters(self, step: int, layout: Layout) -> dict[str, Any]:
        """`step` and `position` of the state, on every device."""
        count = jax.ShapeDtypeStruct((), jnp.int32, sharding=layout.replicated)
        return self.read(step, {"step": count, "position": count})

    def read(self, step: int, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Some fields of the state of a step, laid out as `wanted`, by field, says. Checked against their digests.

        Raises ValueError if they are not what was saved, or cannot be read.
        """
        note = self._note(step)
        digests = self._digests(step, note)
        stored = {field: as_stored(note, field, tree) for field, tree in wanted.items()}
        read = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeRestore(
                    item=stored,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(stored),
                    partial_restore=True,
                )
            ),
        )[STATE]
        found = jax.jit(digest)(read)
        for field in wanted:
            if [int(part) for part in jax.tree.leaves(found[field])] != digests[field]:
                raise ValueError(f"{self.run.checkpoints / str(step)}: its {field} are not those that were saved")
        return cast(read, dict(wanted))

    def whole(self, log: Callable[[str], None], read: Callable[[int], Any]) -> Any:
        """What `read` makes of the newest step that it can read; those passed over are told.

        Raises ValueError if it can read none, and the first `Unfit`.
        """
        for step in self.steps:
            try:
                return read(step)
            except Unfit:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, an older one may be right
                reason = " ".join(str(error).split())[:200]
                log(f"checkpoint: {self.run.checkpoints / str(step)} cannot be used ({reason})")
        raise ValueError(f"none of the {len(self.steps)} checkpoints in {self.run.checkpoints} can be read")

    def _digests(self, step: int, note: Mapping[str, Any]) -> dict[str, list[int]]:
        return digests_in(note, len(self.shapes(step)))

    def _note(self, step: int) -> dict[str, Any]:
        note = self._manager.restore(step, args=ocp.args.Composite(note=ocp.args.JsonRestore()))[NOTE]
        parts_of(note)
        return note


def experiment_of(run: RunDirectory, placement: Placement) -> Experiment:
    """The experiment of a run, with a placement of this machine and without hooks, whose types need not be known here.

    Raises ValueError if its config cannot be read.
    """
    try:
        stored = json.loads(run.config.read_text())
        stored["placement"], stored["hooks"] = {"type": "DataParallel"}, []
        experiment = build(stored, Experiment)
    except (ValueError, TypeError, KeyError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{run.config} cannot be read: {what}") from error
    return dataclasses.replace(experiment, placement=placement)


def hash_of(digests: list[int]) -> str:
    """One hash of many digests."""
    return hashlib.blake2b(json.dumps(digests).encode(), digest_size=16).hexdigest()

