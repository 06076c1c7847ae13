"""One small model of each family: logits that transformers gave, stored by tests/model/parity/test_families.py."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from model.families.transfer import load
from tests.model.families.cases import CASES
from tests.model.families.published_models import drawn, goldens_of, write

GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "families.json").read_text())


def test_every_family_has_one() -> None:
    assert list(GOLDENS) == list(goldens_of(CASES))


@pytest.mark.parametrize("name", GOLDENS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    write(tmp_path / "published", CASES[name])
    _, model = load(tmp_path / "published")
    tokens = drawn(CASES[name]["vocab_size"], 2, 12)
    program = jax.jit(lambda model, tokens: model(tokens)).lower(model, tokens)
    logits = program.compile({"xla_backend_optimization_level": 0})(model, tokens)
    np.testing.assert_allclose(logits[:, -1, :16], GOLDENS[name], rtol=0, atol=2e-4)
