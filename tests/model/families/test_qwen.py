"""Which blocks of Qwen2 and Qwen3 have windows, and which projections have biases."""

import dataclasses
from typing import Any

import pytest

from model.families.layer_types import FULL, SLIDING
from model.families.published import Published
from model.families.qwen import Qwen2, Qwen3
from model.norms import RMSNorm
from model.qk_norm import PerHead
from tests.model.families.cases import CASES


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"use_sliding_window": False, "sliding_window": 9, "max_window_layers": 0}, [None, None, None]),
        ({"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}, [None, 9, 9]),
        ({"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 28}, [None, None, None]),
        ({"use_sliding_window": True, "max_window_layers": 0}, [4096, 4096, 4096]),
        ({"use_sliding_window": True, "sliding_window": None, "max_window_layers": 0}, [None, None, None]),
        ({"use_sliding_window": True, "sliding_window": 9, "layer_types": [SLIDING, FULL, FULL]}, [9, None, None]),
    ],
)
def test_windows(changes: dict[str, Any], windows: list[int | None]) -> None:
    family = Qwen2()
    config = family.config(Published({**CASES["qwen2"], **changes}))
    assert [block.attention.mask.retention().latest for block in config.blocks] == windows
    written = family.published(config)
    assert family.config(Published(written)) == config
    # Readers that know no layer_types come to the same wherever windows are in the upper blocks alone.
    if windows == sorted(windows, key=bool):
        plain = {key: value for key, value in written.items() if key != "layer_types"}
        assert family.config(Published(plain)) == config


def test_biases_and_norms() -> None:
    two = Qwen2().config(Published(CASES["qwen2"])).attention
    assert two.bias and not two.output_bias and two.qk_norm is None
    three = Qwen3().config(Published(CASES["qwen3"])).attention
    assert not three.bias and not three.output_bias and three.qk_norm == PerHead(RMSNorm(1e-5))
    biased = Qwen3().config(Published(CASES["qwen3-biases"])).attention.at(0)
    assert biased.bias and biased.output_bias
    # The width of a head is 128 where nothing is said, whatever the number of heads.
    silent = {key: value for key, value in CASES["qwen3"].items() if key != "head_dim"}
    assert Qwen3().config(Published(silent)).attention == dataclasses.replace(three, head_dim=128)
