"""The console command `espalier VERB ...`: lists the verbs and hands over to one of them.

Nothing heavy is imported here: what a verb does is read from its file, and it runs as
`python -m` would run it.
"""

import ast
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from data.console import nearest

VERBS = {
    "smoke": "experiments.smoke",
    "curate": "data.curate",
    "train-quality": "data.train_quality",
    "tokenize": "data.tokenize",
    "plan": "sharding.plan",
    "train": "train",
    "launch": "sharding.launch",
    "watch": "train.watch",
    "generate": "experiments.generate",
    "evaluate": "experiments.evaluate",
    "ablate": "experiments.ablate",
    "explain": "experiments.explain",
    "average": "experiments.average",
    "export": "experiments.export",
    "convert": "model.convert",
    "models": "experiments.models",
    "tpu": "experiments.tpu",
    "report": "experiments.report",
    "benchmark": "experiments.benchmark",
    "coordinate-check": "experiments.coordinate_check",
}


def source(module: str) -> Path | None:
    """The file that `python -m module` would run, found without importing anything of it."""
    room, *rest = module.split(".")
    spec = importlib.util.find_spec(room)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *rest)
        candidates = [path / "__main__.py"] + ([path.with_suffix(".py")] if rest else [])
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    return None


def summary(path: Path) -> str:
    """The first line of the docstring of the module at `path`."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n", 1)[0]


def present() -> dict[str, str]:
    """What each verb that exists here does, by verb."""
    found = {verb: source(module) for verb, module in VERBS.items()}
    return {verb: summary(path) for verb, path in found.items() if path is not None}


def listing() -> str:
    """The text of `espalier --help`."""
    verbs = present()
    width = max(map(len, verbs), default=0)
    lines = [f"  {verb:<{width}}  {about}" for verb, about in verbs.items()]
    head = ["usage: espalier VERB [flags]", "", "verbs (espalier VERB --help says more):"]
    return "\n".join([*head, *lines])


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs one verb. An unknown one gets one line and exit status 2."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("--help", "-h", "help"):
        print(listing())
        raise SystemExit(0)
    if verb not in present():
        near = nearest(verb, present()) or "; espalier --help lists them"
        print(f"error: unknown verb {verb!r}{near}", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"espalier {verb}", *rest]
    runpy.run_module(VERBS[verb], run_name="__main__", alter_sys=True)
    raise SystemExit(0)


if __name__ == "__main__":
    main()
