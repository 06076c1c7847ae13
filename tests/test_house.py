"""The habits of the house, as ratchets: where files lie, what imports what, how long things are."""

import ast
import importlib.util
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("model", "data", "sharding", "train", "experiments")
MAY_IMPORT = {
    "model": {"sharding"},
    "data": set(),
    "sharding": set(),
    "train": {"model", "data", "sharding"},
    "experiments": {"model", "data", "sharding", "train"},
}
# How every verb starts and ends; they load nothing but absl.
FOR_ALL = {"data.console", "data.exits"}
TOP_LEVEL = {
    *ROOMS, "tests", "docs", ".ci", "README.md", "LICENSE", "Makefile", "setup.py",
    "pyproject.toml", "requirements.lock", ".gitignore", ".gitattributes",
}  # fmt: skip
LONGEST = 500
LONG = 300
# Files between LONG and LONGEST lines, each for a reason. The list only shrinks.
LONG_FILES: dict[str, str] = {}
FEWEST_TOO_MANY_FIELDS = 15
# Tests about more than one module of their room.
# Claims about the whole of a room rather than one module of it.
MIRRORS_NOTHING: dict[str, str] = {
    "extending": "docs/extending.md",
    "continuing": "docs/continuing.md",
    "compile_time": "deep stacks compile about as fast as shallow ones",
    "memory": "a conversion holds its largest tensor and not the model",
    "goldens": "logits of the families, as transformers once gave them",
    "kinds": "every kind of target trains a model of its kind",
    "resume": "a killed run ends like an undisturbed one",
    "faults": "whatever befalls a run, it ends like an undisturbed one",
    "processes": "several processes train as one",
    "bad_input": "what a person is told",
    "collectives": "what compiled steps send between devices, under each placement",
    "tpu_compiler": "the configs that ship, compiled for the pods they are for",
}
NAMELESS = {"utils", "util", "common", "helpers", "helper", "misc"}
UNTRUSTED = {"pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}


@cache
def files() -> tuple[Path, ...]:
    """Every file that git tracks or would track, relative to the top."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        found = (Path(name) for name in listed.stdout.split("\0") if name)
    else:  # an unpacked archive, or no git: what can be told apart by name
        ignored = re.compile(
            r"(^|/)(\.venv|\.git|runs|build|dist|[^/]*cache(__)?|[^/]*\.egg-info)/"
        )
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        found = (path for path in paths if not ignored.search(path.as_posix()))
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def sources(*folders: str) -> list[Path]:
    """Python files, in these top-level folders or everywhere."""
    return [p for p in files() if p.suffix == ".py" and (not folders or p.parts[0] in folders)]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def complain(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(wrong)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, also inside functions."""
    package = path.with_suffix("").parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            first = node.args[0] if node.args else None
            if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def test_imports_follow_the_arrows() -> None:
    wrong = []
    for path in sources(*ROOMS):
        room = path.parts[0]
        for line, name in imported(path):
            other = name.split(".")[0]
            if other == "tests":
                wrong.append(f"{path}:{line}: imports {name}; a room does not know its tests")
            elif other not in ROOMS or other == room or other in MAY_IMPORT[room]:
                continue
            elif not any(name == free or name.startswith(f"{free}.") for free in FOR_ALL):
                wrong.append(f"{path}:{line}: {room} imports {name}")
    complain(wrong)


def test_what_every_verb_imports_is_light() -> None:
    for name in FOR_ALL:
        code = f"import sys, {name}; print(*sys.modules)"
        loaded = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        assert not {"jax", "numpy", "tensorflow", "flax"} & set(loaded)


def test_files_can_be_read_whole() -> None:
    lengths = {path.as_posix(): len((ROOT / path).read_text().splitlines()) for path in sources()}
    wrong = [f"{path}: {n} lines, at most {LONGEST}" for path, n in lengths.items() if n > LONGEST]
    wrong += [
        f"{path}: {n} lines; over {LONG} needs a reason in LONG_FILES"
        for path, n in lengths.items()
        if LONG < n <= LONGEST and path not in LONG_FILES
    ]
    wrong += [
        f"{path}: is no longer over {LONG} lines; take it out of LONG_FILES"
        for path in LONG_FILES
        if lengths.get(path, 0) <= LONG
    ]
    complain(wrong)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _frozen(decorator: ast.expr) -> bool:
    name = _dotted(decorator)
    if name.endswith("struct.dataclass"):
        return True
    return (
        isinstance(decorator, ast.Call)
        and name.endswith("dataclass")
        and any(
            word.arg == "frozen"
            and isinstance(word.value, ast.Constant)
            and word.value.value is True
            for word in decorator.keywords
        )
    )


def test_specs_have_few_fields() -> None:
    wrong = []
    for path in sources(*ROOMS):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and any(map(_frozen, node.decorator_list)):
                fields = [
                    item
                    for item in node.body
                    if isinstance(item, ast.AnnAssign)
                    and "ClassVar" not in ast.dump(item.annotation)
                ]
                if len(fields) >= FEWEST_TOO_MANY_FIELDS:
                    wrong.append(f"{path}:{node.lineno}: {node.name} has {len(fields)} fields")
    complain(wrong)


def test_names_say_what_is_inside() -> None:
    complain(
        [
            f"{path}: named for nothing"
            for path in files()
            if NAMELESS & {p.split(".")[0] for p in path.parts}
        ]
    )


def test_top_level_holds_the_rooms_and_little_else() -> None:
    complain(
        [f"{name}: not at the top level" for name in {p.parts[0] for p in files()} - TOP_LEVEL]
    )


def test_work_left_over_has_a_reason() -> None:
    marker = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\([^)\s][^)]*\))")
    wrong = []
    for path in sources():
        with io.BytesIO((ROOT / path).read_bytes()) as stream:
            for token in tokenize.tokenize(stream.readline):
                if token.type == tokenize.COMMENT and marker.search(token.string):
                    wrong.append(f"{path}:{token.start[0]}: {token.string.strip()}")
    complain(wrong)


def _unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> list[str]:
    arguments = function.args
    static = any(_dotted(d) == "staticmethod" for d in function.decorator_list)
    plain = [*arguments.posonlyargs, *arguments.args][1 if method and not static else 0 :]
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    missing = [a.arg for a in (*plain, *arguments.kwonlyargs, *extra) if a.annotation is None]
    if function.returns is None and function.name != "__init__":
        missing.append("return")
    return missing


def test_what_is_public_is_described_and_typed() -> None:
    wrong = []
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sources(*ROOMS):
        module = tree(path)
        if ast.get_docstring(module) is None and module.body:
            wrong.append(f"{path}: no docstring")
        for node in module.body:
            if not isinstance(node, (*functions, ast.ClassDef)) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                wrong.append(f"{path}:{node.lineno}: {node.name} has no docstring")
            if isinstance(node, ast.ClassDef):
                members = [m for m in node.body if isinstance(m, functions)]
                public = [m for m in members if not re.match(r"_(?!_)", m.name)]
            else:
                public = [node]
            for function in public:
                if missing := _unannotated(function, isinstance(node, ast.ClassDef)):
                    wrong.append(f"{path}:{function.lineno}: {function.name} lacks {missing}")
    complain(wrong)


def test_nothing_runs_what_it_reads() -> None:
    wrong = []
    for path in sources(*ROOMS):
        for line, name in imported(path):
            if name.split(".")[0] in UNTRUSTED:
                wrong.append(f"{path}:{line}: imports {name}")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                    wrong.append(f"{path}:{node.lineno}: calls {node.func.id}")
                for word in node.keywords:
                    allowed = isinstance(word.value, ast.Constant) and word.value.value is False
                    if word.arg == "allow_pickle" and not allowed:
                        wrong.append(f"{path}:{node.lineno}: allow_pickle")
    complain(wrong)


def test_tests_mirror_the_rooms() -> None:
    modules = {room: set() for room in ROOMS}
    for path in sources(*ROOMS):
        modules[path.parts[0]] |= {path.stem, *path.parts[1:-1]}
    wrong = []
    for path in sources("tests"):
        room = path.parts[1]
        if path.name == "__init__.py":
            wrong.append(f"{path}: tests are no package")
        if len(path.parts) < 3 or not path.name.startswith("test_"):
            continue
        if room not in ROOMS:
            wrong.append(f"{path}: {room} is no room")
        elif path.stem.removeprefix("test_") not in modules[room] | MIRRORS_NOTHING.keys():
            wrong.append(f"{path}: {room} has no module of that name")
    complain(wrong)


def test_ruff_is_content() -> None:
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format=concise", "."]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, "\n" + found.stdout + found.stderr
