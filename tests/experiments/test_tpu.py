"""The configs that ship, compiled by the TPU's own compiler for their pods: what docs/tpu.json tells of them."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.planning.kept import read
from experiments.planning.results import Result
from experiments.planning.shown import SHIPPED, Plan
from experiments.tpu import compiled, wanted

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "tpu.json"
# Those that a suite of half an hour has the time for; the others take as long as these together.
QUICKLY = ("gpt2_124m", "llama_125m", "llama2_7b", "llama3_1_405b")
LATER = pytest.mark.skipif("ESPALIER_LONG" not in os.environ, reason="takes minutes; ESPALIER_LONG=1 runs it")


def test_what_is_missing_is_made_and_what_is_asked_for_again() -> None:
    pytest.importorskip("libtpu")
    one = next(plan for plan in SHIPPED if plan.config == "llama_125m")
    other, third = Plan(one.config, one.topology, ("steps=1",)), Plan("theirs", "v5e:4x4")
    result = read(RESULTS, Result)[one.key]
    plans, there = (one, other, third), {one.key: result, other.key: result}
    assert list(wanted(plans, there, [])) == [third]
    assert list(wanted(plans, there, ["steps=1"])) == [other, third]
    assert list(wanted(plans, there, [one.config])) == list(plans)
    # Of another step than it is today, with other options, by another compiler.
    for changed in ({"step": ""}, {"options": ""}, {"libtpu": "0.0.1"}):
        there[one.key] = dataclasses.replace(result, provenance=dataclasses.replace(result.provenance, **changed))
        assert list(wanted(plans, there, [])) == [one, third]


def test_again_alone_says_what_is_missing() -> None:
    command = [sys.executable, "-m", "experiments.tpu", "--again=llama2_7b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "error: --again says which plans, not what is made of them; add --compile, --search or both"
    )


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu, which compiles for TPUs")
@pytest.mark.parametrize(
    "plan", [pytest.param(plan, id=plan.key, marks=[LATER] * (plan.config not in QUICKLY)) for plan in SHIPPED]
)
def test_it_compiles_fits_and_costs_what_is_told(plan: Plan) -> None:
    known, found = read(RESULTS, Result)[plan.key], compiled(plan)
    assert found is not None and found.gib < found.usable
    assert found.gib == pytest.approx(known.gib, rel=0.01)
    assert found.seconds == pytest.approx(known.seconds, rel=0.01)
    assert (found.mesh, found.mfu) == (known.mesh, pytest.approx(known.mfu, rel=0.01))
