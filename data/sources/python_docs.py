"""The corpus that every machine with Python has: its own documentation.

CPython ships the language reference's topics (`pydoc_data.topics`) and the docstrings of its
standard library, under the licence PSF-2.0. Files are parsed, never imported.
"""

import ast
import functools
import hashlib
import platform
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from data.document import Document
from data.sources.base import Record, Shard, Source

# Tests and vendored or generated code: no documentation of the language, or not its own.
_SKIPPED = frozenset(
    ["__phello__", "__pycache__", "dist-packages", "ensurepip", "idle_test", "idlelib", "lib2to3"]
    + ["lib-dynload", "pydoc_data", "site-packages", "test", "tests", "turtledemo"]
)
_TOPICS = Path("pydoc_data", "topics.py")
_LICENCE = "PSF-2.0"
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class PythonDocs(Source):
    """The documentation inside the running Python: topics first, then a document per module.

    A module's document gives, for everything in it that has a docstring, its qualified name and
    the docstring, in the order of the source. What it holds depends on the version of Python.
    """

    def shards(self) -> tuple[Shard, ...]:
        return (Shard(f"python-{platform.python_version()}"),)

    def read(self, shard: Shard) -> Iterator[Record]:
        version = platform.python_version()
        for name, text in sorted(_topics().items()):
            yield _document(text, f"topics/{name}", f"Python {version} language reference")
        for name, path in _modules().items():
            text = _docstrings(path.read_bytes(), name)
            if text:
                yield _document(text, f"library/{name}", f"Python {version} docstrings")

    def fingerprint(self) -> str:
        digest = hashlib.sha256(platform.python_version().encode())
        for name, path in {"topics": _library() / _TOPICS, **_modules()}.items():
            # A distribution may patch the library under the same version.
            digest.update(f"\n{name} {path.stat().st_size}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class PythonNames(Source):
    """What things in Python's library are called, by what their docstrings say: pairs with a tab between them.

    A document has the beginning of the docstring of a class or function, without white space at line ends, and its
    name. Those that begin with an underscore, or whose docstring is one word, are left out.

    Attributes:
      characters: of the docstring, at most.
    """

    characters: int = 200

    def shards(self) -> tuple[Shard, ...]:
        return PythonDocs().shards()

    def read(self, shard: Shard) -> Iterator[Record]:
        source = f"Python {platform.python_version()} docstrings"
        for module, path in _modules().items():
            for name, docstring in _named(path.read_bytes(), module):
                told = " ".join(docstring.split())[: self.characters].rstrip()
                short = name.rpartition(".")[2]
                if " " in told and not short.startswith("_"):
                    yield _document(f"{told}\t{short}", f"names/{name}", source)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self} {PythonDocs().fingerprint()}".encode()).hexdigest()


def _document(text: str, name: str, source: str) -> Document:
    return Document(text=text, id=name, source=source, licence=_LICENCE, language="en")


def _library() -> Path:
    library = Path(sysconfig.get_path("stdlib"))
    if not (library / _TOPICS).exists():
        raise FileNotFoundError(
            f"{library / _TOPICS} does not exist: this Python was installed without its"
            " documentation; give another source of text"
        )
    return library


def _topics() -> dict[str, str]:
    """The dictionary that the topics file assigns, read as data."""
    path = _library() / _TOPICS
    for node in ast.parse(path.read_bytes()).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "topics" for target in targets):
            return dict(ast.literal_eval(node.value))
    raise ValueError(f"{path} assigns no topics")


@functools.cache
def _modules() -> Mapping[str, Path]:
    """The library's source files by module name, sorted; looked for once, since nobody installs another meanwhile."""
    library = _library()
    modules = {}
    for path in library.rglob("*.py"):
        parts = path.relative_to(library).with_suffix("").parts
        # Names with a dash are build products, not modules.
        if not _SKIPPED & set(parts) and all(part.isidentifier() for part in parts):
            modules[".".join(parts).removesuffix(".__init__")] = path
    return MappingProxyType(dict(sorted(modules.items())))


def _docstrings(source: bytes, module: str) -> str:
    """The docstrings of a module, each under its qualified name and signature."""
    found = _walk(_parsed(source), module)
    return "\n\n".join(f"{name}{_signature(node)}\n\n{docstring}" for node, name, docstring in found)


def _named(source: bytes, module: str) -> Iterator[tuple[str, str]]:
    """Qualified names of the classes and functions in a module, with their docstrings; of a name only the last."""
    tree = _parsed(source)
    yield from {name: text for node, name, text in _walk(tree, module) if node is not tree}.items()


def _parsed(source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        # Deliberately broken examples exist; they document nothing.
        return ast.Module([], [])


def _walk(node: _Documented, name: str) -> Iterator[tuple[_Documented, str, str]]:
    if docstring := ast.get_docstring(node):
        yield node, name, docstring
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(child, f"{name}.{child.name}")


def _signature(node: _Documented) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"({ast.unparse(node.args)})"
    return ""
