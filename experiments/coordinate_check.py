"""Checks that activations move as far at any width, or any depth, in a model's first steps.

    python -m experiments.coordinate_check --config=NAME --widths=64,128,256 [--set=KEY=VALUE ...]
    python -m experiments.coordinate_check --config=NAME --depths=2,4,8 [--set=KEY=VALUE ...]

For each size, how far activations are from where they began after a few steps of the config's optimizer on one batch
of random tokens (root mean square), and the power of the size that this grows with: near 0 with a parametrization that
transfers (`--set='model.parametrization=MuP(base_width=64)'`), up to 1 and more without (Yang 2022, appendix D.1).
"""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import flags

from data import console

console.quiet()

# Beyond this power of the size, something is not kept; small models and few steps leave some of it to chance.
FLAT = 0.3


def table(kind: str, sizes: Sequence[int], found: Sequence[Mapping[str, float]]) -> str:
    """Lines for people: a column for each size, a row for each activation, its power, and whether it is flat."""
    from experiments.coordinates import NAMES, slope

    lines = [f"{kind:18}" + "".join(f"{size:>10,}" for size in sizes) + "     power"]
    for name in NAMES:
        figures = [each[name] for each in found]
        power = slope(sizes, figures)
        word = "flat" if abs(power) <= FLAT else "grows" if power > 0 else "shrinks"
        lines.append(f"{name:18}" + "".join(f"{figure:>10.3g}" for figure in figures) + f"{power:>10.2f}  {word}")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Checks as the flags say."""
    from experiments.coordinates import moved, widened
    from train.load import load_experiment

    given = flags.FLAGS
    _, experiment = load_experiment(given.config, given.set)
    if bool(given.widths) == bool(given.depths):
        raise console.UsageError("give --widths or --depths")
    try:
        sizes = [int(size) for size in given.widths or given.depths]
    except ValueError as error:
        raise console.UsageError(f"sizes are whole numbers: {error}") from None
    if len(set(sizes)) < 2 or min(sizes) < 1:
        raise console.UsageError(f"{sizes} are too few sizes; give two or more, each at least 1")
    if given.widths:
        models = [widened(experiment.model, size, not given.longer_heads) for size in sizes]
    else:
        models = [dataclasses.replace(experiment.model, layers=size) for size in sizes]
    found = [moved(model, experiment.optimizer, given.rate, given.steps, given.seed)[-1] for model in models]
    optimizer = type(experiment.optimizer).__name__
    print(f"{given.config}: {experiment.model.parametrization}, {optimizer}, rate {given.rate}, step {given.steps}")
    print(table("width" if given.widths else "depth", sizes, found))


if __name__ == "__main__":
    flags.DEFINE_string("config", None, "name of a config, or a Python file", required=True)
    flags.DEFINE_multi_string("set", [], "change of a field, KEY=VALUE; may be repeated")
    flags.DEFINE_list("widths", [], "widths to compare")
    flags.DEFINE_list("depths", [], "numbers of blocks to compare")
    flags.DEFINE_bool("longer_heads", False, "widen by longer heads rather than more of them")
    flags.DEFINE_float("rate", 1e-2, "learning rate", lower_bound=0.0)
    flags.DEFINE_integer("steps", 3, "steps", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of weights and tokens")
    console.run(main)
