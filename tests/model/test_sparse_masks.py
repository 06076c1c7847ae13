"""Sparse patterns as their papers draw them; tests/model/test_masks.py holds every one against a loop."""

import re

import pytest

from model.masks import (
    Causal,
    Chunked,
    DilatedWindow,
    Fixed,
    Global,
    Mask,
    Prefix,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
    Window,
)


def picture(mask: Mask, length: int) -> list[str]:
    return ["".join(".#"[int(seen)] for seen in row) for row in mask.dense(length, length)]


PICTURES = {
    "prefix language model": (Causal() | Prefix(3), "###.. ###.. ###.. ####. #####"),
    "chunks of Llama 4": (Causal() & Chunked(2), "#.... ##... ..#.. ..##. ....#"),
    "strided": (Causal() & Strided(3), "#...... ##..... ###.... ####... .####.. ..####. #..####"),
    "fixed": (Causal() & Fixed(3, 1), "#...... ##..... ###.... ..##... ..###.. ..####. ..#..##"),
    "Longformer": (Window(1, 1) | Global(1), "###### ###... ####.. #.###. #..### #...##"),
    "dilated": (DilatedWindow(2, 2), "#.#... .#.#.. #.#.#. .#.#.# ..#.#. ...#.#"),
    "StreamingLLM": (Causal() & (Sinks(1) | SlidingWindow(2)), "#.... ##... ###.. #.##. #..##"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_patterns_by_hand(name: str) -> None:
    mask, rows = PICTURES[name]
    assert picture(mask, len(rows.split())) == rows.split()


def test_bigbird_is_global_window_and_random() -> None:
    """Of 8 blocks of 2: blocks of queries see the global ones, their neighbours, and a few random ones."""
    parts = [Global(2), Window(3, 3), RandomBlocks(2, 2, seed=0, blocks=8)]
    mask = parts[0] | parts[1] | parts[2]
    dense = mask.dense(16, 16)
    assert dense[:2].all() and dense[:, :2].all()
    for query in range(16):
        assert dense[query, max(0, query - 3) : query + 4].all()
        assert dense[query, :].sum() <= 2 + 7 + 4 or query < 2
    assert (mask.blocks(16, 16, 2)[2:] == 0).any(1).all()


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Prefix(-1), "Prefix.length is -1; a prefix has 0 or more keys"),
        (lambda: Sinks(-2), "Sinks.count is -2; there are 0 or more sinks"),
        (lambda: Chunked(0), "Chunked.size is 0; a chunk holds at least 1 key"),
        (lambda: Window(-1, 2), "Window.before is -1; a side of a window has 0 or more keys"),
        (lambda: Window(1, -2), "Window.after is -2; a side of a window has 0 or more keys"),
        (lambda: Global(-1), "Global.count is -1; there are 0 or more global tokens"),
        (lambda: DilatedWindow(0, 1), "DilatedWindow.size is 0; a window holds at least 1 key"),
        (lambda: DilatedWindow(1, 0), "DilatedWindow.dilation is 0; keys are at least 1 apart"),
        (lambda: Strided(0), "Strided.stride is 0; a stride is at least 1"),
        (lambda: Fixed(4, 0), "Fixed.summary is 0; a stretch has at least 1 summary"),
        (lambda: Fixed(4, 5), "Fixed.summary is 5; it is at most Fixed.stride, which is 4"),
        (lambda: RandomBlocks(0, 1), "RandomBlocks.block is 0; a block holds at least 1 key"),
        (lambda: RandomBlocks(1, -1), "RandomBlocks.count is -1; there are 0 or more random blocks"),
        (lambda: RandomBlocks(1, 1, 0, -1), "RandomBlocks.blocks is -1; it is the number of blocks in the row, or 0"),
    ],
)
def test_impossible_fields_are_named(build: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build()


def test_segments_join_with_any_pattern() -> None:
    assert (Causal() & Strided(3) & Segments()).segmented() and not (Causal() | Prefix(2)).segmented()
    assert (~(Causal() & Segments())).segmented()
