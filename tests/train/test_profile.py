"""A trace holds the steps that were asked for, and no others."""

import gzip
import importlib.util
import json
from pathlib import Path

import pytest
from etils import epath

from train.profile import Profile, Tracer, parse_profile

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


def test_the_trace_holds_the_steps(tmp_path: Path) -> None:
    # In a process of its own: one that has compiled for a TPU, as other tests do, dies where a trace begins.
    config, run = processes.write_experiment(tmp_path), tmp_path / "run"
    said = processes.finish(processes.start(config, run, "--set=steps=6", "--profile=3:4"))
    (path,) = (run / "profile").rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    steps = {int(event["args"]["step_num"]) for event in events if event.get("name") == "train"}
    assert steps == {3, 4}
    assert list((run / "profile").rglob("*.xplane.pb"))
    (line,) = (line for line in said.splitlines() if line.startswith("profile:"))
    assert f"steps 3 to 4 in {run / 'profile'}" in line


def test_no_steps_leave_no_trace(tmp_path: Path) -> None:
    traced = Tracer(Profile(), epath.Path(tmp_path / "profile"), print)
    assert traced(1, lambda state, batch: (state, batch), 1, 2) == (1, 2)
    assert not (tmp_path / "profile").exists()


def test_steps_are_written_as_a_range() -> None:
    assert parse_profile("10:13") == Profile(10, 13) and parse_profile("7") == Profile(7, 7)
    assert parse_profile("") == Profile()


@pytest.mark.parametrize("text", ["a", "1-2", "5:", ":5", "3:2", "0:2", "-1:2"])
def test_what_is_no_range_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="it is FIRST:LAST"):
        parse_profile(text)


def test_steps_that_are_not_done_are_told() -> None:
    Profile().check(5, 9)
    Profile(6, 9).check(5, 9)
    with pytest.raises(ValueError, match="this start does steps 6 to 9"):
        Profile(5, 6).check(5, 9)
    with pytest.raises(ValueError, match="this start does steps 1 to 9"):
        Profile(9, 10).check(0, 9)
