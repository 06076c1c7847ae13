"""The configs that ship, compiled by the TPU's own compiler for their pods: what docs/tpu.json tells of them."""

import importlib.util
import os
from pathlib import Path

import pytest

from experiments.planning.results import read
from experiments.planning.shown import SHIPPED, Plan
from experiments.tpu import compiled

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "tpu.json"
# Those that a suite of half an hour has the time for; the others take as long as these together.
QUICKLY = ("gpt2_124m", "llama_125m", "llama2_7b", "llama3_1_405b")
LATER = pytest.mark.skipif("ESPALIER_LONG" not in os.environ, reason="takes minutes; ESPALIER_LONG=1 runs it")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu, which compiles for TPUs")
@pytest.mark.parametrize(
    "plan", [pytest.param(plan, id=plan.key, marks=[LATER] * (plan.config not in QUICKLY)) for plan in SHIPPED]
)
def test_it_compiles_fits_and_costs_what_is_told(plan: Plan) -> None:
    known, found = read(RESULTS)[plan.key], compiled(plan)
    assert found is not None and found.gib < found.usable
    assert found.gib == pytest.approx(known.gib, rel=0.01)
    assert found.seconds == pytest.approx(known.seconds, rel=0.01)
    assert (found.mesh, found.mfu) == (known.mesh, pytest.approx(known.mfu, rel=0.01))
