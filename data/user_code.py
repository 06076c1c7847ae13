"""Python files that their user wrote: configs, and types of their own."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from data.console import UsageError

# What was loaded, in order: worker processes load the same.
LOADED: list[str] = []


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
    if path not in LOADED:
        LOADED.append(path)
    return module


@contextmanager
def usage(place: str) -> Iterator[None]:
    """Turns what is wrong with a config into a UsageError: one sentence, exit status 2."""
    try:
        yield
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place}: {error}") from error
