"""What a search found is of candidates that were compiled."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from experiments.planning.found import Found
from experiments.planning.record import Record
from experiments.planning.search import Row
from experiments.planning.table import as_json
from train.load import load_experiment

GIB = 2**30
Planned = Callable[..., Record]


def _searched(rows: list[Row], plan: Planned) -> dict[str, Any]:
    return json.loads(as_json(rows, plan().request))


def test_the_fastest_is_beside_the_config(plan: Planned) -> None:
    faster, own = plan(seconds=1.5, peak=3 * GIB).as_dict(), plan(seconds=2.0, peak=2 * GIB).as_dict()
    promised = {**plan(seconds=1.0).as_dict(), "scheduled_only": True}
    rows = [Row(("model.remat=none",), faster), Row((), own), Row(("batch.accumulate=2",), promised), Row(("x",), {})]
    experiment = load_experiment("smoke")[1]
    found = Found.of(_searched(rows, plan), experiment)
    assert (found.changes, found.ratio, found.seconds) == (("model.remat=none",), 0.75, 2.0)
    assert (found.gib, found.own_gib) == (3.25, 2.25)  # with a quarter for the program itself
    assert (found.scheduled, found.compiled) == (3, 1)
    assert found.provenance.holds(experiment, {"xla_flag": True})


def test_a_config_that_is_the_fastest_has_no_changes(plan: Planned) -> None:
    own, promised = plan(seconds=2.0).as_dict(), {**plan(seconds=1.0).as_dict(), "scheduled_only": True}
    found = Found.of(_searched([Row((), own), Row(("x",), promised)], plan), load_experiment("smoke")[1])
    assert (found.changes, found.ratio, found.compiled) == ((), 1.0, 0) and found.gib == found.own_gib


def test_a_config_that_was_not_compiled_is_refused(plan: Planned) -> None:
    searched = _searched([Row(("model.remat=none",), plan().as_dict()), Row((), {}, "the compiler was killed")], plan)
    with pytest.raises(ValueError, match="was not compiled, or does not fit"):
        Found.of(searched, load_experiment("smoke")[1])
