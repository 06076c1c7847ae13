"""Python files that are found by name, and those that their user wrote: configs, studies, and types of their own."""

import dataclasses
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from data.console import UsageError, nearest

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


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """Files that a person asks for by name: whatever lies in a package, or a file given by path.

    They may lie in a room that imports the one that asks, as plug-ins do.

    Attributes:
      package: `experiments.configs`.
      kind: what they are, in a word.
    """

    package: str
    kind: str

    def names(self) -> list[str]:
        """Names of those that ship."""
        package = importlib.import_module(self.package)
        return sorted(module.name for module in pkgutil.iter_modules(package.__path__))

    def module(self, source: str) -> ModuleType:
        """The module of a name, or of a path that ends in `.py`.

        Raises UsageError if there is none.
        """
        if source.endswith(".py"):
            return load_file(source)
        names = self.names()
        if source not in names:
            raise UsageError(
                f"there is no {self.kind} '{source}'{nearest(source, names)}; there are {', '.join(names)}, or give a "
                ".py file"
            )
        return importlib.import_module(f"{self.package}.{source}")


@contextmanager
def usage(place: str) -> Iterator[None]:
    """Turns what is wrong with a config into a UsageError: one sentence, exit status 2."""
    try:
        yield
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place}: {error}") from error
