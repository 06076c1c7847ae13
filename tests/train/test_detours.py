"""Ways round bad batches: what is read, where the position jumps, and what is on record."""

import importlib.util
import itertools
import json
from pathlib import Path

import jax.numpy as jnp
import pytest
from etils import epath

from data.training import training
from train.checkpoint import Checkpoints
from train.detours import Detours, Incident, TooLongARow, going_back, read_incidents
from train.digest import batch_digest
from train.metrics import read_metrics
from train.run_directory import RunDirectory
from train.safety import Safety
from train.state import TrainState

_spec = importlib.util.spec_from_file_location("spoilt", Path(__file__).parent / "spoilt.py")
spoilt = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(spoilt)

pytestmark = pytest.mark.usefixtures("quickly_compiled")


def detours(path: Path, *incidents: Incident, most: int = 10) -> Detours:
    lines = (json.dumps({"step": one.step, "first": one.first, "until": one.until}) + "\n" for one in incidents)
    path.write_text("".join(lines))
    return Detours(epath.Path(path), Safety(rollbacks=most), lambda line: None)


TWO = (Incident(10, 10, 13), Incident(20, 23, 25))


@pytest.mark.parametrize("start", [0, 9, 10, 13, 14, 22, 23, 25, 40])
def test_batches_are_all_but_those_passed_over(tmp_path: Path, start: int) -> None:
    found = itertools.islice(
        detours(tmp_path / "i", *TWO).around(lambda p: ((i, -i) for i in itertools.count(p)))(start), 30
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
        read = itertools.islice(ways.around(lambda p: ((i, None) for i in itertools.count(p)))(at), 40 - start)
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


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunDirectory]:
    """A run of which no batch is bad, in its directory."""
    directory = tmp_path_factory.mktemp("detours")
    return directory, spoilt.go(spoilt.experiment(directory), directory / "whole")[0]


def metrics(run: RunDirectory) -> list[dict]:
    lines = [{k: v for k, v in line.items() if not k.startswith("perf/")} for line in read_metrics(run.metrics)]
    return [line for line in lines if len(line) > 1]


def test_a_run_with_bad_batches_ends_like_one_that_never_saw_them(first_run, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, whole = first_run
    reading = spoilt.experiment(directory)
    prepared = reading.data.open(whole.data)
    batches = training(reading.data, prepared, reading.batch.form, batch=8, steps=spoilt.STEPS, seed=3).pipeline
    read = (jnp.asarray(batch["targets"]) for _, batch in itertools.islice(batches.from_step(0), 30))
    digests = [int(batch_digest({"targets": targets})) for targets in read]
    bad = spoilt.experiment(directory, tuple(digests[9:12]))
    run, said = spoilt.go(bad, directory / "bad")
    assert read_incidents(run.incidents) == [Incident(9, 9, 12)]
    assert any("the steps from 10 on were bad" in line for line in said)
    assert any("resume: step 8" in line for line in said)

    # The same batches known as bad from the beginning: no step is lost, and nothing is bad any more.
    other = RunDirectory(directory / "never")
    other.path.mkdir()
    other.incidents.write_text(json.dumps({"step": 9, "first": 9, "until": 12}) + "\n")
    spoilt.go(spoilt.experiment(directory), other.path)
    assert spoilt.final(run) == spoilt.final(other) != spoilt.final(whole)
    seen = [line["train/batch"] for line in metrics(run) if "train/batch" in line]
    assert seen == [float(digests[at - 1 if at <= 9 else at + 2]) for at in range(2, spoilt.STEPS + 1, 2)]
    assert [line.get("train/skipped") for line in metrics(run) if "train/batch" in line] == [0.0] * 10
    assert metrics(run)[-1].get("train/rollbacks", 1.0) == 1.0

    # Killed after it went back, it ends the same.
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", spoilt.crashing(16))
        with pytest.raises(RuntimeError, match="killed"):
            spoilt.go(bad, directory / "killed")
    killed, said = spoilt.go(bad, directory / "killed")
    assert any("resume: step 12" in line for line in said)
    assert spoilt.final(killed) == spoilt.final(run) and metrics(killed) == metrics(run)
