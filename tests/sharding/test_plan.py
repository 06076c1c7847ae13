"""The planner as a command: what it refuses, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sharding import plan

ROOT = Path(__file__).resolve().parents[2]


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sharding.plan", *flags]
    return subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)


def test_help_is_complete_and_loads_no_planner() -> None:
    done = run("--help")
    assert done.returncode == 0
    flags = "--config --topology --slices --set --[no]schedule --[no]search --json --html --tries --finalists"
    for flag in flags.split():
        assert flag in done.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--config=gpt2_124m", "--topology=v5e:3x3"),
         "error: --topology is 'v5e:3x3', a shape in which there is no v5e; the nearest is v5e:2x4, with 8 chips"),
        (("--config=gtp2_124m", "--topology=v5e:4x4"),
         "error: there is no config 'gtp2_124m'; did you mean gpt2_124m?"),
        (("--config=gpt2_124m", "--topology=v5e:4x4", "--schedule", "--nocompile"),
         "error: --schedule cannot be given here: --nocompile does not ask the compiler; leave one of the two out"),
        (("--config=gpt2_124m", "--topology=v5e:4x4", "--schedule", "--search"),
         "error: --schedule cannot be given here: --search schedules by itself; leave one of the two out"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_status_2(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(*flags, f"--json={tmp_path / 'plan.json'}")
    assert done.returncode == 2
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_memory_is_told_without_the_compiler(tmp_path: Path) -> None:
    pytest.importorskip("libtpu")
    path = tmp_path / "plan.json"
    changes = "--set=batch.accumulate=2", "--set=model.remat=save_qkv_attention"
    done = run("--config=gpt2_124m", "--topology=v5e:2x2", *changes, "--nocompile", f"--json={path}")
    # 24.79 GiB, said the compiler: more than there are.
    assert done.returncode == 1 and "does not fit" in done.stdout and done.stderr == ""
    found = json.loads(path.read_text())
    assert found["estimate"]["peak"] / 2**30 == pytest.approx(24.79, rel=0.1)
    assert found["topology"]["devices"] == 4


def test_the_planner_is_there() -> None:
    assert (ROOT / plan._PLANNER.replace(".", "/")).with_suffix(".py").is_file()
