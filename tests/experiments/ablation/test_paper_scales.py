"""The paper's scale of each study fits the TPU that it names, as the TPU's own compiler says."""

import dataclasses
import importlib.util
import os
from pathlib import Path

import pytest

from experiments.ablation.catalogue import load_study, study_names
from experiments.ablation.paper_scales import FITS, fitted, largest, read, table, write
from experiments.ablation.study import Study
from experiments.ablation.tuning import Everywhere
from model.feedforward import MLP
from sharding.compiler_flags import compiler_options
from sharding.topology import parse_topology
from train.state import Blueprint

# Those that a suite of half an hour has the time for.
QUICKLY = ("grokking", "vocabulary")
LATER = pytest.mark.skipif("ESPALIER_LONG" not in os.environ, reason="takes minutes; ESPALIER_LONG=1 runs it")


@pytest.mark.parametrize("name", sorted(read()))
def test_what_was_compiled_is_what_the_study_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIBTPU_INIT_ARGS", raising=False)
    study = load_study(name)
    fit, (arm, experiment) = read()[name], largest(study)
    options = compiler_options(parse_topology(fit.topology).chip.kind) or {}
    assert fit.provenance.holds(experiment, options), f"python -m experiments.ablate --study={name} --fit --commit"
    assert (fit.arm, fit.topology) == (arm, study.scales["paper"].topology)
    assert fit.weights == Blueprint(experiment.model).count() and fit.gib < fit.usable
    # A pod takes what one chip takes of a step, as often as there are steps.
    assert fit.hours == pytest.approx(fit.seconds * experiment.steps / 3600, rel=0.01)


@pytest.mark.slow
def test_every_study_was_compiled() -> None:
    lacking = sorted(set(study_names()) - set(read()))
    assert not lacking, f"run python -m experiments.ablate --fit --commit --study= for each of {', '.join(lacking)}"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu, which compiles for TPUs")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[LATER] * (name not in QUICKLY)) for name in sorted(read())]
)
def test_it_fits(name: str) -> None:
    known, found = read()[name], fitted(load_study(name))
    assert found.gib == pytest.approx(known.gib, rel=0.01) and found.seconds == pytest.approx(known.seconds, rel=0.01)


def test_the_largest_arm_is_compiled(study: Study) -> None:
    wider = dataclasses.replace(study.arms[1], changes={"model.feedforward": MLP(hidden=64)})
    name, experiment = largest(dataclasses.replace(study, arms=(study.arms[0], wider, study.arms[2])))
    assert name == "three" and experiment.model.feedforward.hidden == 64
    sizes = Everywhere(({"model.feedforward.hidden": 96}, {"model.feedforward.hidden": 32}))
    scales = {**study.scales, "paper": dataclasses.replace(study.scales["paper"], tuning=sizes)}
    assert largest(dataclasses.replace(study, scales=scales))[1].model.feedforward.hidden == 96


def test_a_fit_is_read_as_it_was_written(tmp_path: Path) -> None:
    fits = read(FITS)
    write(fits, tmp_path / "fits.json")
    assert read(tmp_path / "fits.json") == fits and read(tmp_path / "none.json") == {}
    head, rows = table(fits)
    assert {len(row) for row in rows} <= {len(head)}


def test_a_study_without_a_topology_is_refused(study: Study) -> None:
    scales = {name: dataclasses.replace(scale, topology="") for name, scale in study.scales.items()}
    with pytest.raises(ValueError, match="^scale 'paper' has no topology; name the TPU that it is for"):
        fitted(dataclasses.replace(study, scales=scales))
