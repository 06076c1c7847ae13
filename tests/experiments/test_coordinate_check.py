"""The table of the coordinate check, and what it refuses; the figures are tested in `test_coordinates.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.coordinate_check import table

ROOT = Path(__file__).resolve().parents[2]


def test_table() -> None:
    found = [
        {"embedding": 0.5, "attention logits": 1.0, "stream": 8.0, "logits": 0.02},
        {"embedding": 0.55, "attention logits": 4.0, "stream": 4.0, "logits": 0.02 * 4**0.25},
    ]
    lines = table("width", (64, 256), found).splitlines()
    assert [line.split() for line in lines] == [
        ["width", "64", "256", "power"],
        ["embedding", "0.5", "0.55", "0.07", "flat"],
        ["attention", "logits", "1", "4", "1.00", "grows"],
        ["stream", "8", "4", "-0.50", "shrinks"],
        ["logits", "0.02", "0.0283", "0.25", "flat"],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give --widths or --depths"),
        (["--widths=64", "--depths=2"], "give --widths or --depths"),
        (["--widths=64"], "[64] are too few sizes; give two or more, each at least 1"),
        (["--widths=64,wide"], "sizes are whole numbers"),
        (["--widths=64,200"], "at width 200 it is no whole number"),
    ],
)
def test_what_it_refuses(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "experiments.coordinate_check", "--config=smoke", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and said in done.stderr and len(done.stderr.splitlines()) == 1
