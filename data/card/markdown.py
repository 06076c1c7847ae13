"""The card as Markdown. Text of the corpus is escaped, so that it stays text."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from data.card.blocks import Block, Excerpts, Heading, Sentence, blocks
from data.table import Cell

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_BREAK = re.compile(r"\s*[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\s*")


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as a document of Markdown."""
    return "\n\n".join(["# Data card", *map(_block, blocks(card))]) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_escape(block.text)}"
    if isinstance(block, Sentence):
        return _escape(block.text)
    if isinstance(block, Excerpts):
        return _table(("Where", "Why", "Text"), block.items)
    title = [f"**{_escape(block.title)}**"] if block.title else []
    note = [_escape(block.note)] if block.note else []
    return "\n\n".join([*title, _table(block.header, block.rows), *note])


def _table(header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> str:
    names = [_escape(name) for name in header]
    lines = [_line(names), _line("---" for _ in names)]
    return "\n".join([*lines, *(_line(_cell(value) for value in row) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _escape(str(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _BREAK.sub(" ", text))
