"""A study as Markdown, and `docs/ablations.md`, which is written from the committed results."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.ablation import paper_scales, tables

_HEAD = """# Ablations

Published ablations, run again. Written by `python -m experiments.ablate --docs` from the results in
`experiments/ablations/results`; each verdict is one of *reproduced*, *not reproduced*, and *inconclusive* with the
seeds that power analysis says are lacking.
"""


_PAPER_SCALES = """## At the papers' scale

Whether the largest run of a study, as its paper made it, fits the TPU that the study names for it: its training step,
compiled for that TPU by the TPU's own compiler. Seconds are simulated (see [Models on TPUs](tpu.md)); none of these
runs was made. `python -m experiments.ablate --study=NAME --fit --commit` writes a line anew.
"""


def document(studies: Sequence[Mapping[str, Any]], fits: Mapping[str, paper_scales.Fit]) -> str:
    """The text of `docs/ablations.md`."""
    parts = [_HEAD, table(*tables.overview(studies)), *(section(found) for found in studies)]
    return "\n".join([*parts, *([_PAPER_SCALES, table(*paper_scales.table(fits))] if fits else [])])


def section(found: Mapping[str, Any]) -> str:
    """What a study found."""
    paper, said = found["paper"], found["verdict"]
    cited = f"[{paper['cited']}]({paper['link']})" if paper["link"] else paper["cited"]
    changed = f" Changed of the parent: {', '.join(f'`{change}`' for change in found['changes'])}." * bool(
        found["changes"]
    )
    lines = [
        f"## {found['study']}, {found['scale']}",
        "",
        f"{cited}. {paper['setting'] + '. ' if paper['setting'] else ''}",
        "",
        f"{found['hypothesis']} **{said['told'].capitalize()}**: {said['why']}.",
        "",
        f"    python -m experiments.ablate --study={found['study']} --scale={found['scale']}",
        "",
        table(*tables.figures(found)).rstrip(),
        "",
        f"{tables.summary(found)}{changed} {' '.join(sentence(note) for note in found['notes'])}".strip(),
        "",
        *(f"- {warning}" for warning in found["warnings"]),
        *([""] if found["warnings"] else []),
    ]
    return "\n".join(line.rstrip() for line in lines)


def sentence(note: str) -> str:
    """A note with a full stop."""
    return note if note.endswith(".") else f"{note}."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, and a line end."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
