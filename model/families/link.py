"""Links between our tensors and published ones, and what our tensors are called outside of a scanned stack."""

import dataclasses
from typing import Any, NamedTuple

import jax
from flax import nnx

from model.families.forms import Form, Same
from model.stack import Stack


@dataclasses.dataclass(frozen=True)
class Link:
    """Some of our tensors that are some of theirs.

    Attributes:
      ours: our names, `blocks.3.attention.query` for block 3.
      theirs: their names, as in the safetensors files.
      form: how the one becomes the other.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    form: Form = Same()


def link(ours: str, theirs: str, form: Form = Same()) -> Link:
    """A link of one tensor with one."""
    return Link((ours,), (theirs,), form)


class Where(NamedTuple):
    """Where one of our tensors lies in the tree of weights.

    Attributes:
      path: of the array.
      repeat: its index in the array's leading axis, for a tensor of a block; else None.
      shape: of the tensor.
      dtype: of the array.
    """

    path: tuple[str, ...]
    repeat: int | None
    shape: tuple[int, ...]
    dtype: Any


def tensors_of(model: nnx.Module) -> dict[str, Where]:
    """Every tensor of a model (its shapes are enough), by name: those of a stack block by block."""
    found: dict[str, Where] = {}
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        path = tuple(str(part) for part in path)
        place = _stack(model, path)
        if place is None:
            found[".".join(path)] = Where(path, None, tuple(variable.shape), variable.dtype)
            continue
        at, stack = place
        run = next(run for run in stack.plan.runs if int(path[at]) in run.places)
        for repeat in range(run.repeats):
            block = str(int(path[at]) + repeat * run.period)
            name = ".".join((*path[:at], block, *path[at + 1 :]))
            found[name] = Where(path, repeat, tuple(variable.shape[1:]), variable.dtype)
    return found


def _stack(model: nnx.Module, path: tuple[str, ...]) -> tuple[int, Stack] | None:
    """The stack on the way to a weight, and where in the path its place is named."""
    node: Any = model
    for at, part in enumerate(path):
        if isinstance(node, Stack):
            return at, node
        node = getattr(node, part)
    return None


def theirs_shapes(link: Link, ours: dict[str, Where]) -> list[tuple[int, ...]]:
    """The shapes that their tensors have to have."""
    given = [jax.ShapeDtypeStruct(ours[name].shape, "float32") for name in link.ours]
    return [tuple(found.shape) for found in jax.eval_shape(link.form.to_theirs, given)]
