"""What models cost on TPUs, as docs/tpu.md shows it: `python -m experiments.tpu --write docs/tpu.md`.

The tables are made of docs/tpu.json and docs/searches.json. With --compile those plans that are missing in the first,
or are of another step, other options or another compiler than today's, are compiled first by `python -m sharding.plan`,
which needs libtpu but no TPU; with --search shapes that ship are searched for the second in the same way. With --again
so are all whose key holds one of the given words.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from data import console
from data.atomic import write_text
from experiments.document import Place
from experiments.planning import kept
from experiments.planning.found import Found
from experiments.planning.provenance import compiler
from experiments.planning.results import Result
from experiments.planning.shown import SHIPPED, Plan, every
from experiments.planning.shown_tables import tables

console.quiet()

# Of a search, those that are compiled besides the config.
FINALISTS = 2
PLACE = Place("python -m experiments.tpu --write docs/tpu.md")


def main(argv: list[str]) -> None:
    """Compiles and searches what is asked for, prints the tables, and writes them where --write says."""
    given = flags.FLAGS
    if given.again and not (given.compile or given.search):
        raise console.UsageError("--again says which plans, not what is made of them; add --compile, --search or both")
    path, beside, plans = Path(given.results), Path(given.searches), every()
    results, searches = kept.read(path, Result), kept.read(beside, Found)
    for plan in wanted(plans, results, given.again) if given.compile else ():
        if (made := compiled(plan)) is not None:
            results[plan.key] = made
            write_text(path, kept.written(results, [each.key for each in plans]))
    for plan in wanted(SHIPPED, searches, given.again) if given.search else ():
        if (found := searched(plan, given.tries)) is not None:
            searches[plan.key] = found
            write_text(beside, kept.written(searches, [each.key for each in SHIPPED]))
    text = tables(results, searches)
    if given.write:
        PLACE.write(Path(given.write), text)
    print(text)


def wanted(plans: Sequence[Plan], there: Mapping[str, Result | Found], again: Sequence[str]) -> Iterator[Plan]:
    """Plans that are not there, by key, that are out of date, and those of which a word is in `again`."""
    for plan in plans:
        made = there[plan.key].provenance if plan.key in there else None
        current = made is not None and made.libtpu == compiler() and plan.is_of(made)
        if not current or any(word in plan.key.split() for word in again):
            yield plan


def compiled(plan: Plan) -> Result | None:
    """Compiles it in a process of its own; None with its words on stderr where nothing came of it."""
    record = _planned(plan)
    return None if record is None else Result.of(record, plan.experiment())


def searched(plan: Plan, tries: int) -> Found | None:
    """Searches what is faster in a process of its own; None with its words on stderr where nothing came of it."""
    record = _planned(plan, "--search", f"--tries={tries}", f"--finalists={FINALISTS}")
    return None if record is None else Found.of(record, plan.experiment())


def _planned(plan: Plan, *more: str) -> Any:
    """What `python -m sharding.plan` writes as JSON."""
    print(f"{' '.join(('planning', *more))} {plan.key}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "plan.json"
        command = [
            sys.executable, "-m", "sharding.plan", f"--config={plan.config}", f"--topology={plan.topology}",
            f"--json={record}", *(f"--set={change}" for change in plan.changes), *more,
        ]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode or not record.is_file():
            print(f"{plan.key}: nothing came of it (exit status {done.returncode})\n{done.stdout}", file=sys.stderr)
            return None
        return json.loads(record.read_text())


if __name__ == "__main__":
    flags.DEFINE_string("write", "", "Markdown file whose tables are written anew")
    flags.DEFINE_string("results", "docs/tpu.json", "file of what was compiled")
    flags.DEFINE_string("searches", "docs/searches.json", "file of what was searched")
    flags.DEFINE_bool("compile", False, "compile the plans of which there is no result of today")
    flags.DEFINE_bool("search", False, "search what is faster than shapes that ship and have no search of today")
    flags.DEFINE_integer("tries", 12, "with --search: candidates to schedule", lower_bound=1)
    flags.DEFINE_list("again", [], "words; what has one of them as config, topology or change is made anew")
    console.run(main)
