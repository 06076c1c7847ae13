"""The address of a run: a hash of all that decides what it learns, so that no run is made twice."""

import ast
import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data import identity
from data.console import ROOMS
from data.spec import describe, fields_of
from data.user_code import LOADED
from train.experiment import Experiment

ROOT = Path(__file__).resolve().parents[2]
# Where all runs begin: what it imports is the code that matters, besides that of the types in the config.
_BEGINNING = "train.loop"
_LENGTH = 16


def address(experiment: Experiment) -> str:
    """The address: a hash of the resolved config and the text it learns from, and one of the code.

    Where files lie does not count, and how a config was written neither.

    Raises FileNotFoundError or ValueError if the data is missing.
    """
    config = identity.fingerprint([describe(experiment, locations=False), data_version(experiment)])
    return f"{config[:_LENGTH]}-{code_version(tuple(modules(experiment)))[:_LENGTH]}"


def config_part(address: str) -> str:
    """What of an address is of the config: runs of other code have the same."""
    return address.partition("-")[0]


def data_version(experiment: Experiment) -> str:
    """A hash of the data of an experiment. Raises FileNotFoundError or ValueError if it is missing."""
    return _data_version(experiment.data)


def modules(spec: Any) -> list[str]:
    """Names of the modules that define the types of a spec, sorted."""
    return sorted(set(_modules(spec)))


def user_files(names: list[str]) -> list[str]:
    """The files of those of these modules that their user loaded by path."""
    files = {f"espalier_user_{Path(path).stem}": path for path in LOADED}
    return [files[name] for name in names if name in files]


@functools.lru_cache(maxsize=256)
def _data_version(data: Any) -> str:
    return data.fingerprint()


def _modules(spec: Any) -> Iterator[str]:
    if dataclasses.is_dataclass(spec):
        yield type(spec).__module__
        for field in fields_of(type(spec)):
            yield from _modules(getattr(spec, field))
    elif isinstance(spec, tuple | list):
        for item in spec:
            yield from _modules(item)


@functools.cache
def code_version(types: tuple[str, ...]) -> str:
    """A hash of the code that a run of a spec with types of these modules consists of.

    It is that of `train.loop`, of these modules, and of all that they import of the rooms, however deep. Comments,
    docstrings and layout do not count.
    """
    seen: dict[str, str] = {}
    waiting = [_BEGINNING, *types]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in seen or path is None:
            continue
        meaning, imports = _read(path)
        seen[name] = meaning
        # `a.b` also runs the file of the package `a`.
        waiting += [*imports, *(name.rpartition(".")[0],)]
    return identity.fingerprint(seen)


@functools.cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """A hash of what a file says to Python, and the names it may import."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    imports = tuple(_imported(tree, path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _imported(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parent.parts if path.is_relative_to(ROOT) else ()
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            # It may be a module of that package, or a name in it.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    """The file of a module of the rooms, or of one that its user loaded; None for any other name."""
    if name.partition(".")[0] in ROOMS:
        stem = ROOT.joinpath(*name.split("."))
        return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file) if name.startswith("espalier_user_") and file else None
