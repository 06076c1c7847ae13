"""What every preset of a public family, and every config that ships, costs: `python -m experiments.models`.

Parameters, parameters that take part in a token, FLOPs of the forward pass for a token in a row of the
model's context, and memory of a decoding cache in bfloat16. All of it by closed form, without weights.
With --write=docs/models.md the table in that file is written anew.
"""

import dataclasses
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from absl import flags

from data import console
from experiments import document

console.quiet()

PLACE = document.Place("python -m experiments.models --write docs/models.md")
HEAD = (
    "model", "family", "parameters", "active", "context", "GFLOPs a token", "cache a token", "cache of a full context",
)  # fmt: skip
# The keys under which config.json files tell the longest row, the first that is there.
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
_BFLOAT16 = 2


@dataclasses.dataclass(frozen=True)
class Row:
    """What one model costs; None where it has no such thing.

    Attributes:
      name: of the preset or config.
      family: of the preset; "config" for a config that ships.
      weights: number of weights.
      active: number of weights that take part in a token.
      context: tokens of the longest row.
      flops: of the forward pass, a token, in a row of the context.
      growth: bytes of the cache for a token, while no mask lets go of older ones.
      cache: bytes of the cache of a row of the context.
    """

    name: str
    family: str
    weights: int
    active: int
    context: int
    flops: float
    growth: int | None
    cache: int | None

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (
            self.name, self.family, _number(self.weights), _number(self.active),
            f"{self.context:,}", f"{self.flops / 1e9:,.4g}",
            _bytes(self.growth), _bytes(self.cache),
        )  # fmt: skip


def row(name: str, family: str, config: Any, context: int) -> Row:
    """The row of a spec."""
    from model.cost_table import cost

    found = cost(config, context, _BFLOAT16)
    return Row(name, family, found.weights, found.active, context, found.flops, found.growth, found.cache)


def presets() -> Iterator[Row]:
    """Every preset of every family, in order."""
    from model.families.registry import FAMILIES

    for family in FAMILIES:
        for name, values in family.presets.items():
            context = next(int(values[key]) for key in _CONTEXT if values.get(key))
            yield row(name, family.name, family.preset(name), context)


def configs() -> Iterator[Row]:
    """Every config that ships, at the sequence that it trains on."""
    from experiments import configs as room
    from train.load import load_experiment

    for module in sorted(pkgutil.iter_modules(room.__path__), key=lambda module: module.name):
        experiment, _ = load_experiment(module.name)
        yield row(module.name, "config", experiment.model, experiment.batch.sequence)


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    return document.table(HEAD, (row.cells() for row in rows), left=2)


def _number(value: int) -> str:
    size, unit = next((size, unit) for size, unit in ((1e9, " B"), (1e6, " M"), (1, "")) if value >= size or size == 1)
    return f"{value / size:,.2f}{unit}" if unit else f"{value:,}"


def _bytes(value: int | None) -> str:
    if value is None:
        return ""
    units = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
    size, unit = next((size, unit) for size, unit in units if value >= size or size == 1)
    return f"{value / size:,.4g} {unit}"


def main(argv: list[str]) -> None:
    """Prints the table, and writes it where --write says."""
    text = table([*presets(), *configs()])
    if flags.FLAGS.write:
        PLACE.write(Path(flags.FLAGS.write), text)
    print(text)


if __name__ == "__main__":
    flags.DEFINE_string("write", "", "Markdown file whose table is written anew")
    console.run(main)
