"""Families are found by architecture, by name, and by what they can express."""

import dataclasses

import pytest

from model.attention import Attention
from model.families.family import explicit, first_difference
from model.families.published import FamilyError, Published
from model.families.registry import FAMILIES, expressed, family_for, family_named, family_of
from model.feedforward import GatedMLP, LeadingFeedForward
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.norms import RMSNorm
from model.positions import Alibi, Rope
from model.residual import SandwichNorm
from model.transformer import TransformerConfig

LLAMA = TransformerConfig(2, 16, 11, Attention(4, kv_heads=2), GatedMLP(20), tie_embeddings=False)


def test_each_name_and_architecture_is_one_family() -> None:
    names = [family.name for family in FAMILIES]
    architectures = [name for family in FAMILIES for name in family.architectures]
    assert len(set(names)) == len(names) and len(set(architectures)) == len(architectures)
    for family in FAMILIES:
        assert family_named(family.name) is family
        for name in family.architectures:
            assert family_of(Published({"architectures": [name]})) is family


def test_unknown_ones() -> None:
    with pytest.raises(FamilyError, match="^config.json names the architecture 'Cobol'; known are .*LlamaFor"):
        family_of(Published({"architectures": ["Cobol"]}))
    with pytest.raises(FamilyError, match="^there is no family 'lama'; there are llama"):
        family_named("lama")


def test_the_first_that_can_express_a_spec() -> None:
    assert family_for(LLAMA).name == "llama"
    window = dataclasses.replace(LLAMA.attention, mask=Causal() & SlidingWindow(5))
    assert family_for(dataclasses.replace(LLAMA, attention=window)).name == "mistral"


def test_what_follows_from_other_fields_may_be_left_out() -> None:
    spelled = dataclasses.replace(LLAMA.attention, head_dim=4, scale=0.5)
    plan = Interleaved((LLAMA.attention, spelled))
    again = dataclasses.replace(LLAMA, attention=plan, feedforward=LeadingFeedForward(1, *(GatedMLP(20),) * 2))
    assert explicit(again) == explicit(LLAMA) and again != LLAMA
    assert first_difference(again, LLAMA) is None
    other = dataclasses.replace(LLAMA, attention=Interleaved((spelled, dataclasses.replace(spelled, scale=1.0))))
    assert "model.attention is Interleaved" in first_difference(other, LLAMA)
    assert first_difference(dataclasses.replace(LLAMA, layers=3), LLAMA) == "model.layers is 3, and it has 2 there"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual": SandwichNorm()}, "llama cannot express this model: model.residual is SandwichNorm"),
        ({"attention": Attention(4, positions=Alibi())}, "llama: positions are Alibi; this family has Rope"),
        ({"norm": RMSNorm(offset=1.0)}, "llama cannot express this model: model.norm.offset is 1.0, and it has 0.0"),
        # Parts that lack what the family asks for.
        ({"feedforward": LeadingFeedForward(1, GatedMLP(9), GatedMLP(8))}, "llama cannot express this model: "),
    ],
)
def test_what_a_family_cannot_express(changes: dict, message: str) -> None:
    with pytest.raises(FamilyError, match=message):
        expressed(family_named("llama"), dataclasses.replace(LLAMA, **changes))


def test_a_spec_that_nobody_can_express() -> None:
    odd = dataclasses.replace(LLAMA, attention=Attention(4, positions=Rope(), scale=0.123), residual=SandwichNorm())
    with pytest.raises(FamilyError, match="^no family can express this model: ") as told:
        family_for(odd)
    assert all(family.name in str(told.value) for family in FAMILIES)


def test_a_spec_of_something_else() -> None:
    with pytest.raises(FamilyError, match="^llama: the spec describes no model: "):
        expressed(family_named("llama"), "a string")
