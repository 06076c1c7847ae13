"""The search: what it compiles, and that the best of it comes first."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from experiments.planning import search as module
from experiments.planning.candidates import changed
from experiments.planning.record import Record, Request
from experiments.planning.search import Apart, Row, promising, search
from experiments.planning.table import as_json, ranked
from sharding.topology import parse_topology
from train.load import load_experiment

Plan = Callable[..., Record]
pytestmark = pytest.mark.usefixtures("topology_there")
GIB = 2**30


def test_candidates_fit_by_closed_form_and_differ(config: str) -> None:
    _, experiment = load_experiment(config)
    found = promising(experiment, parse_topology("v5e:2x2"), 4, say=lambda line: None)
    assert len(found) == 4
    assert len({(str(c.experiment.placement), c.experiment.model) for c in found}) == 4
    assert not any(c.experiment == experiment for c in found)


def test_the_own_placement_is_among_them_however_slow_it_seems(config: str) -> None:
    # By closed form it is the slowest of all, and would have none.
    _, experiment = load_experiment(config, ["placement=DataParallel()", "batch.batch=64"])
    found = promising(experiment, parse_topology("v5e:4x4"), 6, say=lambda line: None)
    own = [c for c in found if c.experiment.placement == experiment.placement]
    assert len(found) == 6 and len(own) >= 2 and len({c.changes for c in found}) == 6


def test_micro_batches_may_be_such_as_the_config_could_not_divide(config: str) -> None:
    _, experiment = load_experiment(config, ["placement=Combined(fsdp=4)", "batch.batch=8", "batch.evaluation=8"])
    # Four micro-batches of two rows, on two devices: the config's own mesh would have four take a share.
    assert promising(experiment, parse_topology("v5e:2x2"), 60, say=lambda line: None)


def test_what_is_too_large_is_not_compiled(config: str) -> None:
    # A table of 2^21 rows, its moments, and the logits of a row of 1024 tokens: 40 GiB and 8.
    _, experiment = load_experiment(config, ["model.vocab=2097152", "batch.sequence=1024", "batch.batch=4"])
    assert promising(experiment, parse_topology("v5e:2x2"), 4, say=lambda line: None) == []


def test_the_config_is_among_the_rows_and_the_best_comes_first(
    config: str, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, experiment = load_experiment(config)
    tried = [("model.remat=none",), ("model.remat=minimal",), ("model.remat=save_qkv",)]
    monkeypatch.setattr(module, "promising", lambda *_, **__: [changed(experiment, changes) for changes in tried])
    outcomes: dict[tuple[str, ...], Row] = {
        (): Row((), plan(seconds=2.0).as_dict()),
        tried[0]: Row(tried[0], plan(seconds=1.0, peak=20 * GIB).as_dict()),
        tried[1]: Row(tried[1], {}, "the compiler was killed"),
        tried[2]: Row(tried[2], plan(seconds=1.5).as_dict()),
    }
    asked, said = [], []

    def compile(changes: Sequence[str], whole: bool) -> Row:
        asked.append((tuple(changes), whole))
        row = outcomes.get(tuple(changes)) or Row(tuple(changes), plan(seconds=3.0).as_dict())
        # A schedule makes all look a little faster.
        return row if whole else schedule_of(row, 0.9)

    request = plan().request
    rows = search(request, experiment, compile, tries=5, finalists=2, say=said.append)
    assert asked[:4] == [(changes, False) for changes in ((), *tried)]
    # The rest of the tries go to kernels of the best.
    assert all(changes[0] == tried[2][0] and not whole for changes, whole in asked[4:6])
    # Of the rest none is faster than the config.
    assert asked[6:] == [((), True), (tried[2], True)]
    assert rows[0].changes == tried[2] and rows[1].changes == ()
    assert [row.scheduled_only for row in rows[:4]] == [False, False, True, True] and len(rows) == 6
    assert {row.changes for row in rows[-2:]} == {tried[0], tried[1]}
    assert len(said) == 8 and "the compiler was killed" in said[2] and "does not fit" in said[1]
    assert "1.3500 s a step (scheduled in 2 s)" in said[3] and "1.5000 s a step (compiled in 2 s)" in said[7]
    table = list(ranked(rows, request))
    assert table[-1].endswith("--set=model.remat=save_qkv --distributed --run=gs://BUCKET/RUN")
    assert "none: as it is written" in table[2] and "~2.7000" in table[3] and table[3].endswith(": scheduled only")
    assert '"command": null' not in as_json(rows, request)


def schedule_of(row: Row, factor: float) -> Row:
    """The row that a schedule would give, which takes so much of the seconds."""
    if not row.found:
        return row
    speed = row.found["speed"]
    faster = {
        **speed, "seconds": speed["seconds"] * factor,
        "tokens_per_second_per_chip": speed["tokens_per_second_per_chip"] / factor,
    }  # fmt: skip
    return Row(row.changes, {**row.found, "speed": faster, "scheduled_only": True})


def test_a_config_that_does_not_fit_is_compiled_with_the_best(
    config: str, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, experiment = load_experiment(config)
    monkeypatch.setattr(module, "promising", lambda *_, **__: [changed(experiment, ("model.remat=none",))])

    def compile(changes: Sequence[str], whole: bool) -> Row:
        row = Row(tuple(changes), plan(peak=GIB if changes else 20 * GIB).as_dict())
        return row if whole else schedule_of(row, 1.0)

    rows = search(plan().request, experiment, compile, tries=1, finalists=1, say=lambda line: None)
    assert [(row.changes, row.fits, row.scheduled_only) for row in rows] == [
        (("model.remat=none",), True, False), ((), False, False),
    ]  # fmt: skip


def test_what_cannot_be_run_gives_no_command(plan: Plan) -> None:
    rows = [Row((), plan(peak=20 * GIB).as_dict())]
    assert "does not fit by 4.50 GiB" in list(ranked(rows, plan().request))[-1]
    assert '"command": null' in as_json(rows, plan().request)


def test_a_row_is_what_a_process_wrote_or_said(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        code = "import sys; print('error: no such mesh', file=sys.stderr); sys.exit(2)"
        return real([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    real = module.subprocess.run
    monkeypatch.setattr(module.subprocess, "run", run)
    request = dataclasses.replace(plan().request, changes=("steps=5",))
    row = Apart(request)(("model.remat=none",), whole=True)
    assert row == Row(("model.remat=none",), {}, "no such mesh") and not row.fits
    assert commands[0][1:5] == ["-m", "sharding.plan", "--config=small", "--topology=v5e:2x2"]
    assert "--schedule" not in commands[0]
    assert commands[0][-2:] == ["--set=steps=5", "--set=model.remat=none"]
    Apart(request)((), whole=False)
    assert "--schedule" in commands[1]


def test_requests_name_the_command() -> None:
    request = Request("small", ("a=b c",), parse_topology("v5e:2x2"))
    assert request.train_command()[3:5] == ["--config=small", "--set=a=b c"]
