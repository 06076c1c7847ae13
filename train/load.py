"""Finds an experiment by name or file, and applies changes from the command line."""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from data.console import UsageError, nearest
from train.experiment import Experiment
from train.spec import override

# Experiments are written in a room that may import this one; they are found by name, as plug-ins are.
CONFIGS = "experiments.configs"


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
        module = _module(source)
    make = getattr(module, variant or "experiment", None)
    if not callable(make):
        variants = ", ".join(variants_of(module)) or "none"
        raise UsageError(f"{source} has no variant '{variant or 'experiment'}'; it has {variants}")
    with usage(name):
        written = make()
        if not isinstance(written, Experiment):
            raise UsageError(f"{name} gives a {type(written).__name__}, not an Experiment")
        return written, override(written, list(changes))


def load_file(path: str) -> ModuleType:
    """Runs a Python file that its user wrote, so that the types in it are known.

    Raises UsageError if there is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"{path} is no file")
    spec = importlib.util.spec_from_file_location(f"espalier_user_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their annotations up in the module by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
    package = importlib.import_module(CONFIGS)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


@contextmanager
def usage(place: str) -> Iterator[None]:
    """Turns what is wrong with a config into a UsageError: one sentence, exit status 2."""
    try:
        yield
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place}: {error}") from error


def _module(source: str) -> ModuleType:
    if source.endswith(".py"):
        return load_file(source)
    names = config_names()
    if source not in names:
        raise UsageError(
            f"there is no config '{source}'{nearest(source, names)}; there are {', '.join(names)}, or give a .py file"
        )
    return importlib.import_module(f"{CONFIGS}.{source}")
