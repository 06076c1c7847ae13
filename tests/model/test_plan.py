"""The runs of a stack: they cover the blocks in order, and no program is shorter."""

import functools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.attention import Attention
from model.feedforward import GatedMLP, LeadingFeedForward
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.plan import Run, plan, runs
from model.transformer import TransformerConfig


def covered(blocks: str, found: tuple[Run, ...]) -> str:
    return "".join(blocks[run.first : run.first + run.period] * run.repeats for run in found)


@given(st.text("ab", max_size=40) | st.text("abc", max_size=30) | st.text(max_size=10))
def test_runs_cover_the_blocks_in_order(blocks: str) -> None:
    found = runs(blocks)
    assert covered(blocks, found) == blocks
    ends = [run.first + run.period * run.repeats for run in found]
    assert [run.first for run in found] == [0, *ends][: len(found)]
    assert all(run.places == range(run.first, run.first + run.period) for run in found)
    assert plan(blocks).blocks == tuple(blocks) and plan(blocks).runs == found


@functools.cache
def fewest(blocks: str) -> int:
    """Blocks written out by the best of all ways to cut the sequence into repetitions."""
    if not blocks:
        return 0
    ways = []
    for length in range(1, len(blocks) + 1):
        for period in range(1, length + 1):
            if length % period == 0 and blocks[:period] * (length // period) == blocks[:length]:
                ways.append(period + fewest(blocks[length:]))
    return min(ways)


@given(st.text("ab", max_size=12) | st.text("abc", max_size=10))
def test_no_program_is_shorter(blocks: str) -> None:
    assert sum(run.period for run in runs(blocks)) == fewest(blocks)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ("", []),
        ("a", [(0, 1, 1)]),
        ("a" * 48, [(0, 1, 48)]),
        ("ab" * 13, [(0, 2, 13)]),
        ("aaaaab" * 4 + "aa", [(0, 6, 4), (24, 1, 2)]),  # Gemma 3 1B
        ("d" * 3 + "m" * 58, [(0, 1, 3), (3, 1, 58)]),  # DeepSeek-V3
        ("ababa", [(0, 2, 2), (4, 1, 1)]),
        ("aabab", [(0, 1, 1), (1, 2, 2)]),
        ("ab", [(0, 1, 1), (1, 1, 1)]),
    ],
)
def test_known_ones(blocks: str, expected: list[tuple[int, int, int]]) -> None:
    assert runs(blocks) == tuple(Run(*run) for run in expected)


def test_specs_are_compared_by_value() -> None:
    local, whole = Attention(2, mask=Causal() & SlidingWindow(4)), Attention(2)
    gemma = TransformerConfig(26, 8, 9, Interleaved((*(local,) * 5, whole)), GatedMLP(4))
    assert plan(gemma.blocks).runs == (Run(0, 6, 4), Run(24, 1, 2))
    deepseek = TransformerConfig(61, 8, 9, whole, LeadingFeedForward(3, GatedMLP(9), GatedMLP(4)))
    assert plan(deepseek.blocks).runs == (Run(0, 1, 3), Run(3, 1, 58))


@pytest.mark.parametrize("blocks", ["a" * 500, "ab" * 300, "abcdefgh" * 40, "".join(map(chr, range(300)))])
def test_long_stacks_take_no_time(blocks: str) -> None:
    began = time.process_time()
    assert covered(blocks, runs(blocks)) == blocks
    assert time.process_time() - began < 5
