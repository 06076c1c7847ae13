"""Finds an experiment by name or file, and applies changes from the command line."""

from collections.abc import Callable, Sequence
from types import ModuleType

from data.console import UsageError
from data.spec import override
from data.user_code import Catalogue, usage
from train.experiment import Experiment

CONFIGS = Catalogue("experiments.configs", "config")


def load_experiment(name: str, changes: Sequence[str] = ()) -> tuple[Experiment, Experiment]:
    """The experiment as written, and with `changes` (`key=value`) applied.

    Args:
      name: `NAME` of a module of `experiments.configs`, or a path to a Python file; `NAME:VARIANT` for
        the function VARIANT of it instead of `experiment`.
      changes: overrides.

    Raises:
      UsageError: for an unknown name, variant or key, or a config that cannot be.
    """
    source, _, variant = name.partition(":")
    with usage(source):
        module = CONFIGS.module(source)
    make = getattr(module, variant or "experiment", None)
    if not callable(make):
        variants = ", ".join(variants_of(module)) or "none"
        raise UsageError(f"{source} has no variant '{variant or 'experiment'}'; it has {variants}")
    with usage(name):
        written = make()
        if not isinstance(written, Experiment):
            raise UsageError(f"{name} gives a {type(written).__name__}, not an Experiment")
        return written, override(written, list(changes))


def variants_of(module: ModuleType) -> list[str]:
    """Names of the functions of a module that make an experiment."""
    return [
        key
        for key, value in vars(module).items()
        if isinstance(value, Callable)
        and getattr(value, "__module__", "") == module.__name__
        and getattr(value, "__annotations__", {}).get("return") in (Experiment, "Experiment")
    ]


def config_names() -> list[str]:
    """Names of the configs that ship."""
    return CONFIGS.names()
