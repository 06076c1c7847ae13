"""The tables of docs/tpu.md: made of the results beside it, which are of this compiler and say what is claimed."""

import dataclasses
from pathlib import Path

import pytest

from experiments.planning.found import Found
from experiments.planning.kept import read, written
from experiments.planning.provenance import Provenance
from experiments.planning.results import Result
from experiments.planning.shown import BAR, SHIPPED, Peer, Plan, every
from experiments.planning.shown_tables import ratio, tables
from experiments.tpu import PLACE

ROOT = Path(__file__).resolve().parents[3]
DOCS, RESULTS, SEARCHES = (ROOT / "docs" / name for name in ("tpu.md", "tpu.json", "searches.json"))
MADE = Provenance("0.0.1", "", "")
ONE = Result(2.0, 1.0, 10.5, 15.75, 0.5, 1234.0, 1.25, {"fsdp": 4}, 8, 16, 30, 1.5, MADE)
FOUND = Found(24, 3, ("model.remat=full",), 0.95, 2.0, 1.5, 2.5, MADE)


def test_the_page_holds_the_tables_of_its_results() -> None:
    document = DOCS.read_text()
    assert PLACE.inserted(document, tables(read(RESULTS, Result), read(SEARCHES, Found)), "docs/tpu.md") == document, (
        "docs/tpu.md is out of date; python -m experiments.tpu --write docs/tpu.md writes it anew"
    )


def test_every_plan_was_compiled_by_the_compiler_that_is_pinned() -> None:
    results = read(RESULTS, Result)
    assert set(results) == {plan.key for plan in every()}
    pinned = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split() if "==" in line)
    made = [*results.values(), *read(SEARCHES, Found).values()]
    assert {figures.provenance.libtpu for figures in made} == {pinned["libtpu"]}
    assert RESULTS.read_text() == written(results, [plan.key for plan in every()])


def test_what_ships_fits_with_margin() -> None:
    results = read(RESULTS, Result)
    tight = [plan.key for plan in SHIPPED if results[plan.key].gib > 0.98 * results[plan.key].usable]
    assert not tight


def test_every_config_for_a_pod_is_shown() -> None:
    for_cpus = {"__init__", "shakespeare_char", "smoke"}
    named = {path.stem for path in (ROOT / "experiments" / "configs").glob("*.py")} - for_cpus
    assert named == {plan.config.partition(":")[0] for plan in SHIPPED}


@pytest.mark.parametrize("plan", every(), ids=lambda plan: plan.key)
def test_figures_are_of_the_experiment(plan: Plan) -> None:
    """Rows, context and mesh follow from the config as it is today; so does MFU from tokens and FLOPs."""
    experiment, result = plan.experiment(), read(RESULTS, Result)[plan.key]
    assert (result.rows, result.sequence) == (experiment.batch.batch, experiment.batch.sequence)
    chip = plan.request().topology.chip
    mfu = experiment.flops_per_token * result.tokens / chip.peak_flops
    assert mfu == pytest.approx(result.mfu, rel=2e-3)


@pytest.mark.parametrize("plan", every(), ids=lambda plan: plan.key)
def test_it_was_compiled_as_a_run_would_be(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIBTPU_INIT_ARGS", raising=False)
    made = read(RESULTS, Result)[plan.key].provenance
    assert plan.is_of(made), "python -m experiments.tpu --compile --write docs/tpu.md"


def test_all_that_ships_was_searched() -> None:
    assert SEARCHES.read_text() == written(read(SEARCHES, Found), [plan.key for plan in SHIPPED])
    assert set(read(SEARCHES, Found)) == {plan.key for plan in SHIPPED}


@pytest.mark.parametrize("plan", SHIPPED, ids=lambda plan: plan.key)
def test_no_search_finds_much_faster_ones(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships is what a search of today finds, to a hundredth, and no search ends behind what ships."""
    monkeypatch.delenv("LIBTPU_INIT_ARGS", raising=False)
    searched = read(SEARCHES, Found)[plan.key]
    assert plan.is_of(searched.provenance), "python -m experiments.tpu --search --write docs/tpu.md"
    assert 0.99 <= searched.ratio <= 1.0 and searched.scheduled >= 8
    assert searched.seconds == pytest.approx(read(RESULTS, Result)[plan.key].seconds, rel=0.01)


@pytest.mark.parametrize("peer", BAR, ids=lambda peer: f"{peer.shape} {peer.topology}")
def test_memory_of_the_small_plan_is_at_most_the_peers(peer: Peer) -> None:
    assert read(RESULTS, Result)[peer.small.key].gib <= peer.gib


def test_cells_are_the_figures() -> None:
    peer = BAR[0]
    results = {peer.fastest.key: ONE, peer.small.key: dataclasses.replace(ONE, seconds=0.12345)}
    assert ratio(peer, peer.fastest, results) == 2.0 / peer.seconds
    assert ratio(peer, BAR[1].fastest, results) is None
    line = next(line for line in tables(results, {}).splitlines() if line.startswith(f"| {peer.shape} "))
    cells = [cell.strip() for cell in line.split("|")[3:-1]]
    assert cells == ["3.099 s, 10.03 GiB", "2.000 s, 10.50 GiB", "0.645", "0.1235 s, 10.50 GiB", "0.040"]
    shipped = tables({SHIPPED[0].key: ONE}, {SHIPPED[1].key: FOUND})
    assert "fsdp 4" in shipped and "1,234" in shipped
    row = next(line for line in shipped.splitlines() if "0.950" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells == ["`gpt2_124m`", "v5e:4x4", "`model.remat=full`", "0.950", "1.50", "2.50", "24", "3"]
