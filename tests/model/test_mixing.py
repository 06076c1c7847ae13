"""Which layer each block has."""

import pytest

from model.attention import Attention
from model.feedforward import MLP, GatedMLP, InterleavedFeedForward, LeadingFeedForward
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.transformer import TransformerConfig

LOCAL, WHOLE = Attention(2, mask=Causal() & SlidingWindow(4)), Attention(2)


def test_layers_take_turns() -> None:
    plan = Interleaved((LOCAL, LOCAL, WHOLE))
    assert [plan.at(i) for i in range(7)] == [LOCAL, LOCAL, WHOLE, LOCAL, LOCAL, WHOLE, LOCAL]
    assert [WHOLE.at(i) for i in (0, 5)] == [WHOLE, WHOLE]
    feeding = InterleavedFeedForward((MLP(4), GatedMLP(4)))
    assert [type(feeding.at(i)) for i in range(3)] == [MLP, GatedMLP, MLP]
    leading = LeadingFeedForward(2, MLP(4), GatedMLP(4))
    assert [type(leading.at(i)) for i in range(4)] == [MLP, MLP, GatedMLP, GatedMLP]


def test_blocks_and_different_layers_of_a_config() -> None:
    config = TransformerConfig(5, 8, 9, Interleaved((LOCAL, WHOLE)), MLP(4))
    assert [block.attention for block in config.blocks] == [LOCAL, WHOLE, LOCAL, WHOLE, LOCAL]
    assert config.mixings == (LOCAL, WHOLE)
    # With one block the second layer is never had.
    assert TransformerConfig(1, 8, 9, Interleaved((LOCAL, WHOLE)), MLP(4)).mixings == (LOCAL,)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="Interleaved.specs is empty; it holds at least 1 layer"):
        Interleaved(())
    with pytest.raises(ValueError, match="InterleavedFeedForward.specs is empty"):
        InterleavedFeedForward(())
    with pytest.raises(ValueError, match="LeadingFeedForward.count is 0; it is at least 1"):
        LeadingFeedForward(0, MLP(4), MLP(4))
    with pytest.raises(ValueError, match="embed is 10, which Attention.heads .4. does not divide"):
        TransformerConfig(4, 10, 9, Interleaved((Attention(2, head_dim=4), Attention(4))), MLP(4))
