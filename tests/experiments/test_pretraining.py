"""The configs of published shapes: as many weights as was published, and whole rows for every chip."""

import pytest

from experiments import models
from train.load import load_experiment
from train.state import Blueprint

# Billions of weights, as the papers and Hugging Face's model cards tell them; Gemma's without the vision tower. The
# smallest is no published one: 12 x (4 x 768^2 + 3 x 768 x 3072) + 2 x 50,304 x 768, and norms.
PUBLISHED = {
    "llama_125m": 0.1905,
    "llama2_7b": 6.738,
    "llama2_7b:small": 6.738,
    "llama3_8b": 8.030,
    "llama3_1_8b": 8.030,
    "llama3_1_8b:v5e": 8.030,
    "llama3_1_70b": 70.554,
    "llama3_1_70b:v5p": 70.554,
    "llama3_1_405b": 405.853,
    "llama3_1_8b_1m": 8.030,
    "mixtral_8x7b": 46.703,
    "deepseek_v3": 671.026,
    "gemma3_27b": 27.009,
    "t5_xxl": 11.135,
}
CHIPS = {
    "llama_125m": 16, "llama3_1_70b:v5p": 512, "llama3_1_405b": 2048, "llama3_1_8b_1m": 512, "mixtral_8x7b": 64,
    "deepseek_v3": 512,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_shape_and_batch(name: str) -> None:
    experiment, _ = load_experiment(name)
    assert Blueprint(experiment.model).count() == pytest.approx(PUBLISHED[name] * 1e9, rel=1e-3)
    experiment.divided_by(experiment.placement.batch_divisor(CHIPS.get(name, 256)))
    stacks = getattr(experiment.model, "stacks", (experiment.model,))
    assert {stack.precision.compute for stack in stacks} == {"bfloat16"}


def test_every_shape_is_among_the_models() -> None:
    names = {row.name for row in models.configs()}
    assert {name.partition(":")[0] for name in PUBLISHED} <= names
