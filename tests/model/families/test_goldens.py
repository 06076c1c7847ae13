"""One small model of each family: logits that transformers gave, stored by tests/model/parity/test_families.py."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from model.families.transfer import load
from tests.model.families.cases import CASES
from tests.model.families.encoder_cases import MASKED, SEQUENCE
from tests.model.families.published_models import drawn, goldens_of, write

STORED = Path(__file__).parents[1] / "goldens"
GOLDENS = json.loads((STORED / "families.json").read_text())
ENCODERS = json.loads((STORED / "encoders.json").read_text())


def test_every_family_has_one() -> None:
    assert list(GOLDENS) == list(goldens_of(CASES)) and list(ENCODERS) == [*MASKED, *SEQUENCE]


@pytest.mark.parametrize("name", GOLDENS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    write(tmp_path / "published", CASES[name])
    _, model = load(tmp_path / "published")
    tokens = drawn(CASES[name]["vocab_size"], 2, 12)
    np.testing.assert_allclose(logits(model, tokens)[:, -1, :16], GOLDENS[name], rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_logits_of_encoders(name: str, tmp_path: Path) -> None:
    write(tmp_path / "published", (MASKED | SEQUENCE)[name])
    _, model = load(tmp_path / "published")
    rows = (drawn(97, 2, 12),) if name in MASKED else (drawn(97, 2, 12), drawn(97, 2, 7))
    np.testing.assert_allclose(logits(model, *rows)[:, -1, :16], ENCODERS[name], rtol=0, atol=2e-4)


def logits(model: nnx.Module, *tokens: np.ndarray) -> jax.Array:
    program = jax.jit(lambda model, *tokens: model(*tokens)).lower(model, *tokens)
    return program.compile({"xla_backend_optimization_level": 0})(model, *tokens)
