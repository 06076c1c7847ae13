"""Finds studies: whatever lies in `experiments.ablations`, or a file given by path."""

import importlib
import pkgutil
from types import ModuleType

from data.console import UsageError, nearest
from data.user_code import load_file, usage
from experiments.ablation.study import Study

STUDIES = "experiments.ablations"


def study_names() -> list[str]:
    """Names of the studies that ship."""
    package = importlib.import_module(STUDIES)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def load_study(name: str) -> Study:
    """The study of a module of `experiments.ablations`, or of a Python file: what its function `study` returns.

    Raises UsageError for an unknown name, a file without a study, or a study that cannot be.
    """
    with usage(f"study '{name}'"):
        make = getattr(_module(name), "study", None)
        if not callable(make):
            raise UsageError(f"{name} has no function 'study'; it returns the Study")
        made = make()
    if not isinstance(made, Study):
        raise UsageError(f"{name}.study() returns a {type(made).__name__}; it returns a Study")
    return made


def _module(name: str) -> ModuleType:
    if name.endswith(".py"):
        return load_file(name)
    names = study_names()
    if name not in names:
        raise UsageError(
            f"there is no study '{name}'{nearest(name, names)}; there are {', '.join(names)}, or give a file"
        )
    return importlib.import_module(f"{STUDIES}.{name}")
