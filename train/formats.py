"""What a checkpoint holds, by the version of its format; older ones are brought up to date as they are read."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from train.state import TrainState

FORMAT = 4
# The items of a checkpoint.
STATE, NOTE = "state", "note"
# The parts of a state in each format, in the order of its fields.
PARTS: dict[int, tuple[str, ...]] = {
    2: ("step", "weights", "optimizer"),
    3: ("step", "position", "weights", "optimizer", "objective"),
    4: TrainState._fields,
}


def parts_of(note: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of a state that a checkpoint with this note holds. Raises ValueError for a format not known here."""
    if note["format"] not in PARTS:
        known = ", ".join(map(str, PARTS))
        raise ValueError(f"it has format {note['format']}, and this version reads formats {known}")
    return PARTS[note["format"]]


def digests_in(note: Mapping[str, Any], weights: int) -> dict[str, list[int]]:
    """The digests of a checkpoint's arrays, by part. Format 2 has one list for all; `weights` is how many of it are
    of weights."""
    found = note["digest"]
    if note["format"] > 2:
        return dict(found)
    return {"step": found[:1], "weights": found[1 : 1 + weights], "optimizer": found[1 + weights :]}


def as_stored(note: Mapping[str, Any], part: str, wanted: Any) -> Any:
    """The tree of shapes `wanted` with the types of numbers that the checkpoint has; before format 4 they are equal.

    Raises ValueError if it has another number of arrays.
    """
    if "dtypes" not in note:
        return wanted
    leaves, structure = jax.tree.flatten(wanted)
    kinds = note["dtypes"][part]
    if len(kinds) != len(leaves):
        raise ValueError(f"its {part} has {len(kinds)} arrays, and {len(leaves)} are wanted")
    return jax.tree.unflatten(structure, [_like(leaf, kind) for leaf, kind in zip(leaves, kinds, strict=True)])


def _like(leaf: Any, kind: str) -> Any:
    # Arrays on the host stand for what is to be read to the host.
    if isinstance(leaf, np.ndarray):
        return np.empty(leaf.shape, jnp.dtype(kind))
    return jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(kind), sharding=leaf.sharding)


def dtypes(tree: Any) -> list[str]:
    """The types of a tree's numbers, as a note keeps them."""
    return [np.dtype(leaf.dtype).name for leaf in jax.tree.leaves(tree)]


def cast(tree: Any, wanted: Any) -> Any:
    """The tree in the types of numbers of `wanted`, rounded to the nearest where they are shorter."""
    if dtypes(tree) == dtypes(wanted):
        return tree
    shardings = jax.tree.map(lambda leaf: leaf.sharding, wanted)
    convert = jax.jit(
        lambda given: jax.tree.map(lambda leaf, to: leaf.astype(to.dtype), given, wanted), out_shardings=shardings
    )
    return convert(tree)


def completed(read: Mapping[str, Any], abstract: TrainState) -> TrainState:
    """A whole state from the parts that a checkpoint holds.

    Before format 3 the data position was the step. What objectives and guards keep is zeros before a run's first
    step, and formats that lack it are of runs that kept nothing of the kind.
    """
    missing = {
        field: jax.tree.map(lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype), leaf.sharding), tree)
        for field, tree in abstract._asdict().items()
        if field not in read
    }
    if "position" in missing:
        missing["position"] = jax.device_put(np.asarray(int(read["step"]), np.int32), abstract.position.sharding)
    return TrainState(**read, **missing)
