"""Models of many sizes for one budget: as many FLOPs each, by a count that is made here."""

import dataclasses

import pytest

from experiments.ablation.isoflop import isoflop
from experiments.ablation.parents.decoders import small_decoder
from train.experiment import Experiment


@pytest.fixture
def small() -> Experiment:
    return small_decoder({"model.embed": 32, "model.attention.heads": 4, "model.feedforward.hidden": 128})


def test_every_size_has_the_budget(small: Experiment) -> None:
    for setting in isoflop(small, 1e12, (16, 32, 64)):
        width, steps = setting["model.embed"], setting["steps"]
        assert setting["model.attention.heads"] * 8 == width and setting["model.feedforward.hidden"] == 4 * width
        # Six a weight of the two blocks and the logits, and six a product of the attention, of which half are seen.
        matrices = 2 * (4 + 8) * width**2 + 257 * width
        attention = 2 * 2 * width * (128 + 1) / 2
        assert 6 * (matrices + attention) * steps * 8 * 128 == pytest.approx(1e12, rel=0.01)
        assert setting["schedule.warmup"] == round(steps / 20)


def test_budgets_that_buy_nothing_and_widths_that_cannot_be(small: Experiment) -> None:
    with pytest.raises(ValueError, match="does not buy a step at width 64"):
        isoflop(small, 1e6, (64,))
    with pytest.raises(ValueError, match="no whole number"):
        isoflop(dataclasses.replace(small), 1e12, (20,))
