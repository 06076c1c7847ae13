"""A trace holds the steps that were asked for, and no others."""

import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from train.profile import Profile, Tracer, parse_profile


def test_the_trace_holds_the_steps(tmp_path: Path) -> None:
    said: list[str] = []
    traced = Tracer(Profile(3, 4), epath.Path(tmp_path / "profile"), said.append)
    step = jax.jit(lambda state, batch: (state + batch, {"sum": state.sum()}))
    state = jnp.zeros(3)
    for at in range(1, 7):
        state, metrics = traced(at, step, state, jnp.ones(3))
    assert state.tolist() == [6, 6, 6] and metrics["sum"] == 15
    (path,) = (tmp_path / "profile").rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    steps = {int(event["args"]["step_num"]) for event in events if event.get("name") == "train"}
    assert steps == {3, 4}
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
    assert said == [said[0]] and f"steps 3 to 4 in {tmp_path / 'profile'}" in said[0]


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
