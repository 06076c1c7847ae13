"""Bijections between our tensors and those of a published layout: only copies, never arithmetic.

A form takes the tensors of one link from theirs to ours and back, bit for bit. `n` heads with `d` features
each, `e` the width of the model, `h` the hidden width.
"""

import abc
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

# NumPy arrays when data moves, each perhaps read only when it is asked for; traced values for shapes alone.
Tensors = Sequence[Any]


def _library(tensor: Any) -> Any:
    return np if isinstance(tensor, np.ndarray) else jnp


def _together(parts: Iterator[Any], length: int, axis: int) -> Any:
    """Parts one after the other along an axis that is to have this length; each is let go of before the next."""
    part = next(parts)
    if not isinstance(part, np.ndarray):
        return jnp.concatenate([part, *parts], axis=axis)
    shape = list(part.shape)
    shape[axis] = length
    whole = np.empty(shape, part.dtype)
    rows, filled = np.moveaxis(whole, axis, 0), 0
    while part is not None:
        rows[filled : filled + part.shape[axis]] = np.moveaxis(part, axis, 0)
        filled += part.shape[axis]
        part = next(parts, None)
    assert filled == length, f"parts fill {filled} of {length}"
    return whole


@dataclasses.dataclass(frozen=True)
class Form(abc.ABC):
    """One bijection."""

    @abc.abstractmethod
    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Our tensors of theirs."""

    @abc.abstractmethod
    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Their tensors of ours."""


@dataclasses.dataclass(frozen=True)
class Same(Form):
    """One tensor, as it is."""

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """The tensor."""
        return list(theirs)

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """The tensor."""
        return list(ours)


@dataclasses.dataclass(frozen=True)
class Transposed(Form):
    """Matrices with their last two axes exchanged: torch's Linear keeps [out, in]."""

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Each turned."""
        return [tensor.swapaxes(-1, -2) for tensor in theirs]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Each turned."""
        return [tensor.swapaxes(-1, -2) for tensor in ours]


@dataclasses.dataclass(frozen=True)
class HeadsIn(Form):
    """[n d, e] to [e, n, d]: a torch Linear that makes heads.

    Attributes:
      heads: n.
    """

    heads: int

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Turned, its outputs split by head."""
        return [tensor.T.reshape(tensor.shape[1], self.heads, -1) for tensor in theirs]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Heads joined, and turned."""
        return [tensor.reshape(tensor.shape[0], -1).T for tensor in ours]


@dataclasses.dataclass(frozen=True)
class HeadsOut(Form):
    """[e, n d] to [n, d, e]: a torch Linear that takes heads.

    Attributes:
      heads: n.
    """

    heads: int

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Turned, its inputs split by head."""
        return [tensor.T.reshape(self.heads, -1, tensor.shape[0]) for tensor in theirs]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Heads joined, and turned."""
        return [tensor.reshape(-1, tensor.shape[-1]).T for tensor in ours]


@dataclasses.dataclass(frozen=True)
class HeadVectors(Form):
    """[n d] to [n, d]: a bias or a scale of all heads.

    Attributes:
      heads: n.
    """

    heads: int

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Split by head."""
        return [tensor.reshape(self.heads, -1) for tensor in theirs]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Joined."""
        return [tensor.reshape(-1) for tensor in ours]


@dataclasses.dataclass(frozen=True)
class Joined(Form):
    """One tensor of theirs that holds several of ours, one after the other along an axis; then a form for each.

    Attributes:
      sizes: length of each part along the axis.
      forms: the form of each part.
      axis: the axis of their tensor.
    """

    sizes: tuple[int, ...]
    forms: tuple[Form, ...]
    axis: int = 0

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Split, each part by its form."""
        (tensor,) = theirs
        ends = np.cumsum(self.sizes).tolist()
        if tensor.shape[self.axis] != ends[-1]:
            raise ValueError(f"axis {self.axis} has {tensor.shape[self.axis]} rows instead of {ends[-1]}")
        parts = _library(tensor).split(tensor, ends[:-1], axis=self.axis)
        return [form.to_ours([part])[0] for form, part in zip(self.forms, parts, strict=True)]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Each part by its form, joined."""
        parts = (form.to_theirs([part])[0] for form, part in zip(self.forms, ours, strict=True))
        return [_together(parts, sum(self.sizes), self.axis)]


@dataclasses.dataclass(frozen=True)
class JoinedByHead(Form):
    """One tensor of theirs whose first axis holds for each head its rows of several of ours; a form for each.

    GPT-NeoX keeps [n 3 d, e]: query, key and value of head 0, then those of head 1. DeepSeek-V3's keys and values
    have parts of two sizes.

    Attributes:
      heads: n.
      forms: the form of each part.
      sizes: rows of each part in a head; empty: all alike.
    """

    heads: int
    forms: tuple[Form, ...]
    sizes: tuple[int, ...] = ()

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """The rows of each part collected, then its form."""
        (tensor,) = theirs
        rest = tensor.shape[1:]
        by_head = tensor.reshape(self.heads, -1, *rest)
        cuts = np.cumsum(self.sizes)[:-1].tolist() if self.sizes else len(self.forms)
        parts = [part.reshape(-1, *rest) for part in _library(tensor).split(by_head, cuts, axis=1)]
        return [form.to_ours([part])[0] for form, part in zip(self.forms, parts, strict=True)]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Each part by its form, then their rows head by head."""
        parts = [form.to_theirs([part])[0] for form, part in zip(self.forms, ours, strict=True)]
        rest = parts[0].shape[1:]
        by_head = [part.reshape(self.heads, -1, *rest) for part in parts]
        return [_library(parts[0]).concatenate(by_head, axis=1).reshape(-1, *rest)]


@dataclasses.dataclass(frozen=True)
class Then(Form):
    """One form after another, counted from theirs to ours.

    Attributes:
      first: the one next to their tensors.
      second: the one next to ours.
    """

    first: Form
    second: Form

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """First the first."""
        return self.second.to_ours(self.first.to_ours(theirs))

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """First the second."""
        return self.first.to_theirs(self.second.to_theirs(ours))


@dataclasses.dataclass(frozen=True)
class Stacked(Form):
    """Several tensors of theirs, one an expert, that are one of ours with a leading axis.

    Attributes:
      form: the form of each.
    """

    form: Form

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Each by the form, stacked."""
        parts = (self.form.to_ours([tensor])[0][None] for tensor in theirs)
        return [_together(parts, len(theirs), 0)]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Each expert's by the form."""
        (tensor,) = ours
        return [self.form.to_theirs([tensor[i]])[0] for i in range(tensor.shape[0])]


@dataclasses.dataclass(frozen=True)
class Alternating(Form):
    """[..., parts * m] to several [..., m]: the entries of a last axis belong to the parts in turn.

    Attributes:
      parts: their number.
    """

    parts: int

    def to_ours(self, theirs: Tensors) -> list[Any]:
        """Every entry that is a part's."""
        (tensor,) = theirs
        return [tensor[..., part :: self.parts] for part in range(self.parts)]

    def to_theirs(self, ours: Tensors) -> list[Any]:
        """Entries in turn."""
        whole = _library(ours[0]).stack(list(ours), axis=-1)
        return [whole.reshape(*whole.shape[:-2], -1)]
