"""What an optimizer keeps of weights in another shape than theirs, told where to lie."""

import dataclasses
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Statistic:
    """An array with the logical names of its dimensions.

    Attributes:
      value: the numbers.
      axes: names as of a weight, by which a placement lays it on devices; None stands for no name.
    """

    value: Any
    axes: tuple[str | None, ...] = dataclasses.field(metadata={"static": True})

    def with_value(self, value: Any) -> "Statistic":
        """Other numbers under the same names."""
        return Statistic(value, self.axes)
