"""An arm of a study: what it changes of the parent, and what the paper found of it."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from data.spec import replaced
from experiments.ablation.paper import PaperNumber
from model.config import TransformerConfig
from train.experiment import Experiment

# New values by dotted key of the experiment, `model.feedforward`.
Changes = Mapping[str, Any]
NOTHING: Changes = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Arm:
    """One row of a study.

    Attributes:
      name: as the report calls it.
      changes: new values by dotted key of the experiment; or a function of the parent that returns them, where they
        depend on its sizes. None of them is the parent itself.
      paper: the paper's number of this row, if it has one.
    """

    name: str
    changes: Changes | Callable[[Experiment], Changes] = dataclasses.field(default_factory=dict)
    paper: PaperNumber | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("an arm has no name; name it as the paper's table does")

    def experiment(self, parent: Experiment, setting: Changes = NOTHING, seed: int = 0) -> Experiment:
        """The parent with the changes, then those of `setting`, and a seed.

        Raises ValueError naming the arm, if it cannot be: an unknown key, a value that does not go there, or a
        combination that the experiment refuses.
        """
        try:
            changes = self.changes(parent) if callable(self.changes) else self.changes
            made = replaced(parent, {**changes, **setting, "seed": seed})
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"arm '{self.name}': {error}") from error
        return dataclasses.replace(made, parent=parent)


def in_stacks(field: str, value: Any | Callable[[TransformerConfig], Any]) -> Callable[[Experiment], Changes]:
    """A change of one field of every stack of a model: of a decoder, or of an encoder and its decoder.

    Args:
      field: of `TransformerConfig`, `feedforward`.
      value: the new value; or a function of the stack that returns it.
    """

    def changes(parent: Experiment) -> Changes:
        found: dict[str, TransformerConfig] = {}
        if isinstance(parent.model, TransformerConfig):
            found["model"] = parent.model
        else:
            parts = {part.name: getattr(parent.model, part.name) for part in dataclasses.fields(parent.model)}
            found |= {f"model.{n}": part for n, part in parts.items() if isinstance(part, TransformerConfig)}
        return {f"{key}.{field}": value(stack) if callable(value) else value for key, stack in found.items()}

    return changes
