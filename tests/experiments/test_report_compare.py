"""A page of several runs: what each has and how they differ, told apart and escaped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.report import write_comparison
from experiments.report_compare import MOST, comparison, differing
from experiments.report_record import read
from train.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script>"


def run(folder: Path, loss: float, **config: object) -> RunDirectory:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    lines = [{"step": n, "train/loss": loss + 1 / n, "eval/loss": loss} for n in (10, 20, 30)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunDirectory(folder)


def test_figures_and_differences_stand_side_by_side(tmp_path: Path) -> None:
    hooks = [[{"type": "X", "n": n}] for n in range(2)]
    first = run(tmp_path / "a" / "run", 3.25, steps=30, model={"embed": 16, "bias": None}, hooks=hooks[0])
    second = run(tmp_path / "b" / "run", 2.75, steps=30, model={"embed": 32}, hooks=hooks[1])
    records = [read(first), read(second)]
    assert differing(records) == [("model.embed", ["16", "32"]), ("model.bias", ["none", "-"])]
    page = write_comparison([first, second]).read_text()
    assert write_comparison([first, second]) == first.comparison
    assert "a/run and b/run" in page and "<td>3.2500" in page and "<td>2.7500" in page
    assert "<td>30 of 30</td><td>30 of 30</td>" in page
    assert page.count('<path class="run0"') == page.count('<path class="run1"') == 2
    row = page.split("<code>model.embed</code>")[1].split("</tr>")[0]
    assert row == "</th><td>16</td><td>32</td>"


def test_equal_configs_are_told(tmp_path: Path) -> None:
    records = [read(run(tmp_path / name, 1.0, steps=3)) for name in "ab"]
    assert differing(records) == [] and "They are the same." in comparison(records)


def test_everything_is_escaped(tmp_path: Path) -> None:
    records = [read(run(tmp_path / name, 1.0, **{HOSTILE: f"{HOSTILE}{name}"})) for name in ("a<b>", "c&d")]
    page = comparison(records, HOSTILE)
    assert "<script" not in page and "<b>" not in page and "a&lt;b&gt;" in page and "url(" not in page


def test_too_few_and_too_many_are_told(tmp_path: Path) -> None:
    records = [read(run(tmp_path / str(n), 1.0)) for n in range(MOST + 1)]
    with pytest.raises(ValueError, match=f"{MOST + 1} runs are to be compared; it is 2 to {MOST}"):
        comparison(records)
    with pytest.raises(ValueError, match="1 runs"):
        comparison(records[:1])


def test_the_verb_writes_it(tmp_path: Path) -> None:
    paths = [run(tmp_path / name, 1.0, steps=3).path for name in "abc"]
    command = [sys.executable, "-m", "experiments.report", f"--run={paths[0]}", f"--compare={paths[1]},{paths[2]}"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{paths[0]}/comparison.html\n", "")
    assert 'class="run2"' in (tmp_path / "a" / "comparison.html").read_text()
