"""The card as one self-contained page. All text of the corpus is escaped."""

import html
from collections.abc import Mapping
from typing import Any

from data.card.blocks import Block, Excerpts, Heading, Sentence, blocks
from data.table import Cell, Table

# What a page that holds a card among other things needs for its tables.
TABLES = """
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
td.bar { width: 12rem; min-width: 8rem; }
td.bar span { display: block; height: .8em; margin-top: .35em; background: currentColor; opacity: .5; min-width: 1px; }
"""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; font-family: ui-monospace, monospace; }
table { border-collapse: collapse; margin: .5rem 0 1rem; max-width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:first-child { min-width: 8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: .85em; }
p.note { color: #555; font-size: .9em; margin: -.5rem 0 1rem; }
"""


def card_html(card: Mapping[str, Any]) -> str:
    """The card as a page of HTML."""
    body = "\n".join(["<h1>Data card</h1>", *map(_block, blocks(card))])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>Data card</title>\n'
        f"<style>{_STYLE}{TABLES}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Sentence):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Excerpts):
        rows = (
            f"<tr><td>{html.escape(place)}</td><td>{html.escape(reason)}</td><td><pre>{html.escape(text)}</pre></td></tr>"
            for place, reason, text in block.items
        )
        return f"<table>{''.join(rows)}</table>"
    return _table(block)


def _table(table: Table) -> str:
    numeric = [all(_is_number(row[i]) or row[i] is None for row in table.rows) for i in range(len(table.header))]
    head = "".join(
        f'<th class="number">{html.escape(name)}</th>' if number else f"<th>{html.escape(name)}</th>"
        for name, number in zip(table.header, numeric, strict=True)
    )
    drawn = table.header.index(table.bars) if table.bars else None
    largest = max((abs(float(row[drawn] or 0)) for row in table.rows), default=0.0) if drawn is not None else 0.0
    shades = {table.header.index(name) for name in table.shaded}
    deepest = max((abs(float(row[i] or 0)) for row in table.rows for i in shades), default=0.0)
    lines = []
    for row in table.rows:
        cells = [_cell(value, deepest if i in shades else 0.0) for i, value in enumerate(row)]
        if drawn is not None:
            width = 100 * abs(float(row[drawn] or 0)) / largest if largest else 0.0
            cells.append(f'<td class="bar"><span style="width:{width:.1f}%"></span></td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    title = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    note = f'\n<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    head += "<th></th>" if drawn is not None else ""
    return f"<table>{title}\n<tr>{head}</tr>\n" + "\n".join(lines) + f"\n</table>{note}"


def _cell(value: Cell, deepest: float) -> str:
    if value is None:
        return "<td></td>"
    if not _is_number(value):
        return f"<td>{html.escape(str(value))}</td>"
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
    if not deepest:
        return f'<td class="number">{shown}</td>'
    hue, strength = ("59,110,165" if value >= 0 else "190,80,60"), min(abs(value) / deepest, 1)
    return f'<td class="number" style="background:rgba({hue},{0.55 * strength:.2f})">{shown}</td>'


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
