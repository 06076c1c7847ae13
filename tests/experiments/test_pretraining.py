"""The configs of published shapes: as many weights as was published, and whole rows for every chip."""

import pytest

from experiments import models
from train.load import load_experiment
from train.state import Blueprint

# Billions of weights, as the papers and Hugging Face's model cards tell them. T5's are those of its tied half
# (11.14 B) less nothing: flan-t5-xxl is 11.135 B with an unembedding of its own. Gemma's are without the vision tower.
PUBLISHED = {
    "llama2_7b": 6.738,
    "llama2_7b:small": 6.738,
    "llama3_8b": 8.030,
    "llama3_1_8b": 8.030,
    "llama3_1_8b:v5e": 8.030,
    "llama3_1_70b": 70.554,
    "llama3_1_70b:v5p": 70.554,
    "llama3_1_405b": 405.853,
    "gemma3_27b": 27.009,
    "t5_xxl": 11.135,
}
CHIPS = {"llama3_1_70b:v5p": 512, "llama3_1_405b": 2048}


@pytest.mark.parametrize("name", PUBLISHED)
def test_shape_and_batch(name: str) -> None:
    experiment, _ = load_experiment(name)
    assert Blueprint(experiment.model).count() == pytest.approx(PUBLISHED[name] * 1e9, rel=1e-3)
    experiment.divided_by(CHIPS.get(name, 256))
    assert experiment.model.precision.compute == "bfloat16" if hasattr(experiment.model, "precision") else True


def test_every_shape_is_among_the_models() -> None:
    names = {row.name for row in models.configs()}
    assert {name.partition(":")[0] for name in PUBLISHED} <= names
