"""What a study must have, and what is refused before anything runs."""

import dataclasses

import pytest

from experiments.ablation.arm import Arm
from experiments.ablation.decision import Better
from experiments.ablation.match import SameFlops, SameWeights
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from train.experiment import Experiment


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"claim": Better(names=("thre",), than=("one",))}, "claim is about arm 'thre'.*did you mean three"),
        ({"control": Better(names=("four",), than=("one",))}, "control is about arm 'four'"),
        ({"matched": (SameWeights(arms=("on",)),)}, "matched.0 is about arm 'on'"),
        ({"arms": (Arm("one"), Arm("three"), Arm("bad"), Arm("one"))}, "two arms are named 'one'"),
        ({"scales": {}}, "scales are none; a study has cpu, gpu, paper"),
        ({"hypothesis": " "}, "hypothesis is empty"),
    ],
)
def test_studies_that_cannot_be(study: Study, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(study, **changes)


def test_scales_are_changed_on_the_command_line(study: Study) -> None:
    scale = study.at("cpu", ["steps=9"], seeds=2)
    assert scale.parent.steps == 9 and scale.seeds == 2 and study.scales["cpu"].parent.steps == 4
    with pytest.raises(ValueError, match="no scale 'cpuu'; did you mean cpu"):
        study.at("cpuu")
    with pytest.raises(ValueError, match="unknown key 'stepz'"):
        study.at("cpu", ["stepz=9"])
    with pytest.raises(ValueError, match="Scale.seeds is 0"):
        study.at("cpu", seeds=0)
    with pytest.raises(ValueError, match="Scale.first_seed is -1"):
        study.at("cpu", first_seed=-1)
    assert study.at("cpu", first_seed=7).first_seed == 7 and scale.first_seed == 0


def test_arms_are_chosen_by_name(study: Study) -> None:
    assert [arm.name for arm in study.chosen(["bad", "one"])] == ["one", "bad"] and study.chosen([]) == study.arms
    with pytest.raises(ValueError, match="no arm 'tree'; did you mean three"):
        study.chosen(["tree"])


def test_arms_have_in_common_what_they_must(study: Study, parent: Experiment) -> None:
    wide = Arm("wide", {"model.feedforward.hidden": 40}).experiment(parent)
    arms = {"as it is": parent, "wide": wide}
    # Two matrices of 16 x 8 more, of 257 x 16 + 4 x 16 x 16 + 2 x 16 x 32 + 3 x 16.
    assert SameWeights().amount(wide) - SameWeights().amount(parent) == 256
    assert SameWeights().amount(parent) == 257 * 16 + 4 * 256 + 2 * 512 + 3 * 16
    SameWeights(within=0.05).check(arms)
    for match in (SameWeights(within=0.02), SameFlops(within=0.02)):
        with pytest.raises(ValueError, match="arm 'as it is' has .* and arm 'wide'"):
            match.check(arms)
    SameFlops(within=0.0, arms=("wide",)).check(arms)
    assert Scale(parent).seeds == 5
