"""docs/extending.md, and the study in the README, followed to the letter: each file is written, each command is run."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from data.curation import Clean
from data.prepared import Prepared
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text() + (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python title=(\S+)\n(.*?)```.*?```bash\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as a reader's would be: with the corpus of the smoke run (a smaller one), and a database."""
    directory = tmp_path_factory.mktemp("reader")
    lines = [f"line {i} of {i * i % 97}, and then some more of it" for i in range(400)]
    (directory / "text.txt").write_text("\n".join(lines))
    recipe = Recipe(TextFiles(str(directory / "text.txt")), (Clean(),), TailSplit(0.1), Bytes())
    recipe.prepare(directory / "runs" / "smoke" / "data", lambda line: None)
    with contextlib.closing(sqlite3.connect(directory / "notes.db")) as database, database:
        database.execute("CREATE TABLE notes (text)")
        database.executemany("INSERT INTO notes VALUES (?)", [(line,) for line in lines])
    return directory


def test_there_is_an_example_of_each_kind() -> None:
    assert [name for name, _, _ in EXAMPLES] == [
        "kerple.py", "even_distance.py", "sign_momentum.py", "sqlite_notes.py", "wider.py", "dropout.py",
    ]


# One each time, the others with the slow tests.
OFTEN = {"sign_momentum.py"}
STUDY = EXAMPLES[-1]
CASES = [pytest.param(*one, marks=() if one[0] in OFTEN else pytest.mark.slow, id=one[0]) for one in EXAMPLES[:-1]]


def followed(place: Path, name: str, code: str, command: str) -> str:
    """Writes the file, runs the command, and returns what it said."""
    (place / name).write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": "", "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "code", "command"), CASES)
def test_example_trains_from_the_command_line(place: Path, name: str, code: str, command: str) -> None:
    followed(place, name, code, command)
    run = place / re.search(r"--run=(\S+)", command)[1]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in lines) == 6
    assert any(line.get("eval/loss", 99.0) < 9.0 for line in lines)
    kind = re.search(r"^class (\w+)", code, flags=re.MULTILINE)
    if kind:
        assert kind[1] in (run / "config.json").read_text()
    else:
        assert "model.embed: 192 -> 240" in (run / "config_diff.txt").read_text()
    if name == "sqlite_notes.py":
        assert Prepared.open(run / "data").card["splits"]["train"]["documents"] == 203


@pytest.mark.slow
def test_example_of_a_study_runs_by_its_path(place: Path) -> None:
    said = followed(place, *STUDY)
    assert "model.dropout: 0.0 -> 0.1" in said and "8 of 8 runs" in said
    # One seed cannot tell, and the control was left out.
    assert "inconclusive (needs 5 more seeds): the positive control is open" in said
    assert (place / "runs" / "ablations" / "dropout-cpu" / "index.html").exists()
