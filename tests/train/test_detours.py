"""Ways round bad batches: what is read, where the position jumps, and what is on record."""

import itertools
import json
from pathlib import Path

import jax.numpy as jnp
import pytest
from etils import epath

from train.detours import Detours, Incident, TooLongARow, going_back, read_incidents
from train.safety import Safety
from train.state import TrainState


def detours(path: Path, *incidents: Incident, most: int = 10) -> Detours:
    lines = (json.dumps({"step": one.step, "first": one.first, "until": one.until}) + "\n" for one in incidents)
    path.write_text("".join(lines))
    return Detours(epath.Path(path), Safety(rollbacks=most), lambda line: None)


TWO = (Incident(10, 10, 13), Incident(20, 23, 25))


@pytest.mark.parametrize("start", [0, 9, 10, 13, 14, 22, 23, 25, 40])
def test_batches_are_all_but_those_passed_over(tmp_path: Path, start: int) -> None:
    found = itertools.islice(
        detours(tmp_path / "i", *TWO).around(lambda p: ((i, -i) for i in itertools.count(p)), start), 30
    )
    left = (i for i in itertools.count(start) if i not in {10, 11, 12, 23, 24})
    assert list(found) == [(i, -i) for i in itertools.islice(left, 30)]


@pytest.mark.parametrize("incidents", [TWO, (*TWO, Incident(20, 25, 30)), ()])
def test_position_and_batches_keep_step(tmp_path: Path, incidents: tuple[Incident, ...]) -> None:
    """From any step on, each step reads the batch that its state's position says."""
    ways = detours(tmp_path / "i", *incidents)
    positions, state = [], TrainState(jnp.int32(0), jnp.int32(0), {}, (), {})
    saved = []
    for at in range(1, 41):
        saved.append(state)
        state = ways.before(at, state)
        positions.append(int(state.position))
        state = state._replace(step=state.step + 1, position=state.position + 1)
    for start in range(40):
        at = int(saved[start].position)
        read = itertools.islice(ways.around(lambda p: ((i, None) for i in itertools.count(p)), at), 40 - start)
        assert [i for i, _ in read] == positions[start:], start


def test_a_checkpoint_is_undone_if_it_has_read_what_is_passed_over(tmp_path: Path) -> None:
    ways = detours(tmp_path / "i", *TWO)
    assert not ways.undone(10, []) and ways.undone(11, []) and ways.undone(30, [[10, 13]])
    assert not ways.undone(13, [[10, 13]]) and not ways.undone(30, [[10, 13], [23, 25]])
    assert ways.trusted(5) == 10 and ways.trusted(11) == 20 and ways.trusted(21) == float("inf")


def test_a_long_row_is_recorded_before_the_run_goes_back(tmp_path: Path) -> None:
    path = epath.Path(tmp_path / "i")
    tripped = {"train/loss": 1.0, "safety/tripped": 1, "safety/step": 4, "safety/first": 5, "safety/until": 8}
    calls = []

    @going_back
    def train() -> str:
        ways = Detours(path, Safety(rollbacks=2), lambda line: None)
        calls.append(ways.known)
        if len(calls) < 3:
            ways.told(9, tripped | {"safety/step": 4 * len(calls)})
        kept = ways.told(9, tripped | {"safety/tripped": 0})
        assert kept == {"train/loss": 1.0, "train/rollbacks": 2.0}
        return "done"

    assert train() == "done"
    assert calls == [[], [Incident(4, 5, 8)], [Incident(4, 5, 8), Incident(8, 5, 8)]]
    assert read_incidents(path) == calls[2]
    with pytest.raises(ValueError, match="has gone back 2 times already, the most that safety.rollbacks allows"):
        Detours(path, Safety(rollbacks=2), lambda line: None).told(9, tripped)
    with pytest.raises(TooLongARow):
        Detours(path, Safety(rollbacks=3), lambda line: None).told(9, tripped)
    path.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        read_incidents(path)
