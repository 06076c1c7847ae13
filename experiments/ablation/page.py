"""A study as one self-contained page, and the index of all: no script, nothing fetched, all text escaped."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.ablation import plots, tables
from experiments.report_page import document
from experiments.report_record import rows
from experiments.report_sections import chart, text

_STYLE = """
.verdict { display: inline-block; margin: .6rem 0 .2rem; padding: .3rem .8rem; border-radius: 6px; font-weight: 600;
           color: #fff; background: var(--stone); }
.verdict.reproduced { background: var(--leaf); } .verdict.not { background: var(--clay); }
figure.wide { grid-column: span 6; max-width: 46rem; }
figure svg { font-size: inherit; } figure svg text { font-size: 9px; fill: inherit; }
figure svg path { stroke-width: inherit; }
.wide-table { overflow-x: auto; } .wide-table table { font-variant-numeric: tabular-nums; }
.wide-table th, .wide-table td { overflow-wrap: normal; min-width: 0; }
"""


def page(found: Mapping[str, Any]) -> str:
    """The page of a study."""
    paper = found["paper"]
    cited, setting = text(paper["cited"]), f". {text(paper['setting'])}" if paper["setting"] else ""
    if paper["link"]:
        cited = f'<a href="{html.escape(paper["link"], quote=True)}">{cited}</a>'
    body = [
        f'<header><p class="over">Espalier · ablation</p><h1>{text(found["study"])}</h1>',
        f'<p class="soft">{cited}{setting}</p>',
        f'<p class="lead">{text(found["hypothesis"])}</p>',
        f"{_verdict(found)}<p>{text(found['verdict']['why'])}.</p>",
        f'<p class="soft">Scale {text(found["scale"])}: {text(tables.summary(found))} {text(found["date"])}</p>',
        *(f'<p class="warning">{text(warning)}</p>' for warning in found["warnings"]),
        *(f'<p class="note">{text(note)}</p>' for note in found["notes"]),
        "</header>",
        _section("Figures", found["metric"]["better"], _table(*tables.figures(found))),
        _pictures(found),
        _claims(found),
        _section("Cost", "medians over seeds", _table(*tables.costs(found))),
        _setting(found),
    ]
    return document(f"{found['study']}: ablation", body, _STYLE)


def index(studies: Sequence[tuple[Mapping[str, Any], str]]) -> str:
    """A page that lists studies, each with the address of its own page."""
    head, lines = tables.overview([found for found, _ in studies])
    linked = []
    for (found, link), row in zip(studies, lines, strict=True):
        name = f'<a href="{html.escape(link, quote=True)}">{text(found["study"])}</a>'
        linked.append([name, *(text(cell) for cell in row[1:])])
    words = [found["verdict"]["word"] for found, _ in studies]
    told = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    body = [
        f'<header><p class="over">Espalier</p><h1>Ablations</h1><p class="lead">{text(told)}</p></header>',
        _section("Studies", "", _rows([text(cell) for cell in head], linked)),
    ]
    return document("Ablations", body, _STYLE)


def _verdict(found: Mapping[str, Any]) -> str:
    kind = found["verdict"]["word"].split()[0]
    return f'<p class="verdict {text(kind)}">{text(found["verdict"]["told"])}</p>'


def _pictures(found: Mapping[str, Any]) -> str:
    drawn = [
        chart("Every seed", "mean, and its 95% interval", plots.scatter(found), "big"),
        chart("Course", "mean over seeds; band from lowest to highest", plots.curves(found), "big"),
        chart("Beside the paper", "standard deviations as bars", plots.beside_paper(found), "big"),
        chart("Sweep", "all runs that judge; band from lowest to highest", plots.sweep(found), "big"),
        chart("Tuning", "on seeds that do not judge", plots.tuning(found), "big"),
    ]
    return f'<section><h2>Pictures</h2><div class="charts">{"".join(drawn)}</div></section>' if any(drawn) else ""


def _claims(found: Mapping[str, Any]) -> str:
    parts = []
    for name in ("claim", "control"):
        parts.append(f"<h3>{'Claim' if name == 'claim' else 'Positive control'}</h3>")
        for claim in found[name]["parts"] or [found[name]]:
            more = f", open: {claim['more']} more seeds" if claim["standing"] == "open" else f", {claim['standing']}"
            parts.append(f"<p>{text(claim['claim'])}: p = {claim['p']:.3g}{text(more)}</p>")
            head, lines = tables.comparisons(claim)
            parts += [_table(head, lines)] * bool(lines)
    return _section("Tests", "one-sided, paired over seeds", "".join(parts))


def _setting(found: Mapping[str, Any]) -> str:
    changes = "".join(
        f"<h3>{text(arm['name'])}</h3><pre>{text(chr(10).join(arm['changes'] or ['as the parent']))}</pre>"
        for arm in found["arms"]
    )
    line = "".join(f"<p>Changed on the command line: <code>{text(change)}</code></p>" for change in found["changes"])
    where = ""
    for each in found["environments"]:
        lines = [(key, str(value)) for key, value in rows(each["environment"])]
        where += f"<h3>{each['runs']} runs</h3>{_table(('', ''), lines)}"
    code = f"<pre>{text(json.dumps(found['code']))}</pre>"
    return (
        f"<section><h2>Setting</h2>{line}{_folded('Arms', 'what each changes of the parent', changes)}"
        f"{_folded('Environment', 'where the runs were made', where)}"
        f"{_folded('Code', 'of this page', code)}</section>"
    )


def _section(name: str, about: str, content: str) -> str:
    return f"<section><h2>{text(name)} <span>{text(about)}</span></h2>{content}</section>"


def _folded(name: str, about: str, content: str) -> str:
    return f"<details><summary>{name} <span>· {about}</span></summary><div>{content}</div></details>"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return _rows([text(cell) for cell in head], [[text(cell) for cell in line] for line in lines])


def _rows(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    top = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="wide-table"><table>{top}{body}</table></div>'
