"""Blocks of several types: the shortest plan, and what is written of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.attention import Attention
from model.families.layer_types import (
    FULL,
    SLIDING,
    layer_types,
    planned,
    published_layer_types,
    published_window,
)
from model.families.published import FamilyError, Published
from model.feedforward import GatedMLP
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.transformer import TransformerConfig

SPECS = {FULL: Attention(2), SLIDING: Attention(2, mask=Causal() & SlidingWindow(5))}


@given(st.lists(st.sampled_from([FULL, SLIDING]), min_size=1, max_size=9))
def test_each_block_has_its_type_and_the_plan_is_short(kinds: list[str]) -> None:
    plan = planned(kinds, SPECS)
    assert [plan.at(i) for i in range(len(kinds))] == [SPECS[kind] for kind in kinds]
    period = len(plan.specs) if isinstance(plan, Interleaved) else 1
    assert all(kinds[i] == kinds[i % period] for i in range(len(kinds)))
    for shorter in range(1, period):
        assert any(kinds[i] != kinds[i % shorter] for i in range(len(kinds)))
    config = TransformerConfig(len(kinds), 8, 11, plan, GatedMLP(4))
    assert published_layer_types(config) == kinds
    assert published_window(config) == (5 if SLIDING in kinds else None)


def test_types_take_turns_unless_they_are_listed() -> None:
    assert layer_types(Published({}), 5, (SLIDING, FULL)) == [SLIDING, FULL, SLIDING, FULL, SLIDING]
    assert layer_types(Published({"layer_types": [FULL, FULL]}), 2, (SLIDING, FULL)) == [FULL, FULL]
    with pytest.raises(FamilyError, match="^config.json has 1 layer_types for 2 layers$"):
        layer_types(Published({"layer_types": [FULL]}), 2, (FULL,))
