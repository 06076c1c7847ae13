"""Gemma 3's two kinds of blocks: which has which, and how each is rotated, in the old keys and in the new."""

import pytest

from model.families.gemma3 import Gemma3
from model.families.published import Published
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.norms import RMSNorm
from model.positions import LinearScaling, Rope
from model.qk_norm import PerHead
from tests.model.families.cases import CASES


def test_five_blocks_with_a_window_to_each_without() -> None:
    config = Gemma3().preset("gemma-3-4b")
    local, full = config.attention.at(0), config.attention.at(5)
    assert config.attention == Interleaved((*(local,) * 5, full))
    assert local.mask == Causal() & SlidingWindow(1024) and local.positions == Rope(10_000.0)
    assert full.mask == Causal() and full.positions == Rope(1_000_000.0, LinearScaling(8.0))
    assert local.scale == 256**-0.5 and local.qk_norm == PerHead(RMSNorm(1e-6, offset=1.0))
    assert [config.attention.at(i) == full for i in range(34)] == [i % 6 == 5 for i in range(34)]
    assert Gemma3().preset("gemma-3-27b").attention.at(0).scale == 168**-0.5
    assert Gemma3().preset("gemma-3-1b").attention.at(5).positions == Rope(1_000_000.0)


@pytest.mark.parametrize("theta", [1_000_000, 500_000.0])
def test_rope_parameters_say_the_same_as_the_old_keys(theta: float) -> None:
    old = {**CASES["gemma3"], "rope_theta": theta}
    plain = {key: value for key, value in old.items() if not key.startswith("rope_")}
    new = {
        **plain,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": theta},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    }
    assert Gemma3().config(Published(new)) == Gemma3().config(Published(old))


def test_only_the_bases_left_out_are_the_defaults() -> None:
    plain = {key: value for key, value in CASES["gemma3"].items() if not key.startswith("rope_")}
    config = Gemma3().config(Published(plain))
    assert config.attention.at(0).positions == Rope(10_000.0)
    assert config.attention.at(2).positions == Rope(1_000_000.0)
