"""The console command: what it lists, what it refuses, what it hands over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room of its own with a verb that is a module, one that is a package, and one with no file."""
    room = tmp_path / "attic"
    (room / "packed").mkdir(parents=True)
    (room / "__init__.py").write_text("raise RuntimeError('looking must not import')\n")
    (room / "plain.py").write_text(
        '"""Says what it got.\n\nMore."""\nimport sys\nprint(sys.argv[1:])\n'
    )
    (room / "packed" / "__init__.py").write_text("")
    (room / "packed" / "__main__.py").write_text('"""Is packed."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    verbs = {"plain": "attic.plain", "packed": "attic.packed", "gone": "attic.gone"}
    monkeypatch.setattr(cli, "VERBS", verbs)
    return room


def test_only_verbs_that_exist_are_listed(rooms: Path) -> None:
    assert cli.present() == {"plain": "Says what it got.", "packed": "Is packed."}
    assert cli.source("attic.packed") == rooms / "packed" / "__main__.py"
    assert "gone" not in cli.listing()


def test_an_unknown_verb_gets_the_nearest_name(
    rooms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["plian", "--steps", "3"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: unknown verb 'plian'; did you mean plain?\n"


def test_a_verb_gets_its_arguments(
    rooms: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (rooms / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    with pytest.raises(SystemExit) as end:
        cli.main(["plain", "--steps", "3"])
    assert end.value.code == 0
    assert capsys.readouterr().out == "['--steps', '3']\n"


def test_listing_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom experiments import cli\n"
        "try:\n    cli.main([])\n"
        "finally:\n    print(sorted({'jax', 'numpy', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: espalier VERB")
    assert done.stdout.endswith("[]\n")


def test_every_verb_that_exists_says_what_it_does() -> None:
    assert all(cli.present().values())
