"""What models cost on TPUs, as docs/tpu.md shows it: `python -m experiments.tpu --write docs/tpu.md`.

The tables are made of docs/tpu.json. With --compile those plans that are missing there are compiled first by
`python -m sharding.plan`, which needs libtpu but no TPU; with --again, all whose key holds one of the given words.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from data import console
from data.atomic import write_text
from experiments.document import Place
from experiments.planning.results import Result, read, written
from experiments.planning.shown import Plan, every
from experiments.planning.shown_tables import tables

console.quiet()

PLACE = Place("python -m experiments.tpu --write docs/tpu.md")


def main(argv: list[str]) -> None:
    """Compiles what is asked for, prints the tables, and writes them where --write says."""
    path, again, plans = Path(flags.FLAGS.results), flags.FLAGS.again, every()
    results = read(path)
    for plan in plans:
        wanted = any(word in plan.key.split() for word in again)
        if wanted or (flags.FLAGS.compile and plan.key not in results):
            print(f"compiling {plan.key}", file=sys.stderr, flush=True)
            if (found := compiled(plan)) is not None:
                results[plan.key] = found
                write_text(path, written(results, plans))
    text = tables(results)
    if flags.FLAGS.write:
        PLACE.write(Path(flags.FLAGS.write), text)
    print(text)


def compiled(plan: Plan) -> Result | None:
    """Compiles it in a process of its own; None with its words on stderr where nothing came of it."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "plan.json"
        command = [
            sys.executable, "-m", "sharding.plan", f"--config={plan.config}", f"--topology={plan.topology}",
            f"--json={record}", *(f"--set={change}" for change in plan.changes),
        ]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode or not record.is_file():
            print(f"{plan.key}: nothing came of it (exit status {done.returncode})\n{done.stdout}", file=sys.stderr)
            return None
        return Result.of(json.loads(record.read_text()))


if __name__ == "__main__":
    flags.DEFINE_string("write", "", "Markdown file whose tables are written anew")
    flags.DEFINE_string("results", "docs/tpu.json", "file of what was compiled")
    flags.DEFINE_bool("compile", False, "compile the plans of which there is no result")
    flags.DEFINE_list("again", [], "words; plans that have one of them as config, topology or change are compiled")
    console.run(main)
