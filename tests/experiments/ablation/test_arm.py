"""Arms: changes of the parent, of one stack or of two, and what cannot be."""

import pytest

from experiments.ablation.arm import Arm, in_stacks
from experiments.ablation.parents.decoders import small_decoder
from experiments.ablation.parents.t5 import t5_base
from model.feedforward import GatedMLP
from model.norms import LayerNorm
from train.experiment import Experiment


def test_changes_settings_and_seed_come_in_this_order(parent: Experiment) -> None:
    arm = Arm("wide", {"model.feedforward.hidden": 64, "schedule.peak": 1.0})
    made = arm.experiment(parent, {"schedule.peak": 0.5}, seed=7)
    assert (made.model.feedforward.hidden, made.schedule.peak, made.seed) == (64, 0.5, 7)
    assert made.parent is parent and parent.seed == 0
    assert Arm("same").experiment(parent) == parent


def test_a_function_of_the_parent_sees_its_sizes(parent: Experiment) -> None:
    arm = Arm("gated", in_stacks("feedforward", lambda of: GatedMLP(of.feedforward.hidden * 2)))
    assert arm.experiment(parent).model.feedforward == GatedMLP(64)


def test_both_stacks_of_an_encoder_and_decoder_are_changed() -> None:
    made = Arm("layer", in_stacks("norm", LayerNorm())).experiment(t5_base())
    assert made.model.encoder.norm == made.model.decoder.norm == LayerNorm()
    assert Arm("layer", in_stacks("norm", LayerNorm())).experiment(small_decoder()).model.norm == LayerNorm()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model.feedforwards": 1}, "arm 'x': unknown key 'model.feedforwards'.*did you mean 'feedforward'"),
        ({"model.attention.heads": 3}, "arm 'x': .*heads"),
        ({"model.norm": GatedMLP(4)}, "arm 'x': .*no type 'GatedMLP'"),
        (lambda parent: {"steps": parent.nothing}, "arm 'x': .*nothing"),
    ],
)
def test_arms_that_cannot_be_are_named(parent: Experiment, changes: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Arm("x", changes).experiment(parent)
