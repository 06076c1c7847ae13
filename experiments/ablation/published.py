"""Where what studies found is written: beside their runs, and among the results that are committed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etils import epath

from data import atomic
from experiments.ablation import paper_scales
from experiments.ablation.address import ROOT
from experiments.ablation.findings import FORMAT
from experiments.ablation.markdown import document, section
from experiments.ablation.page import index, page
from experiments.ablation.paper_scales import FITS
from experiments.ablation.scale import NAMES

RESULTS = Path(__file__).resolve().parents[1] / "ablations" / "results"
DOCS = ROOT / "docs" / "ablations.md"
_JSON, _PAGE, _TEXT = "findings.json", "index.html", "findings.md"


def write(root: epath.Path, found: Mapping[str, Any]) -> epath.Path:
    """Writes a study's page, Markdown and JSON under `root`, and the index of all that are there. Returns the page."""
    folder = root / f"{found['study']}-{found['scale']}"
    atomic.write_text(folder / _JSON, as_text(found))
    atomic.write_text(folder / _TEXT, section(found) + "\n")
    atomic.write_text(folder / _PAGE, page(found))
    there = sorted(path for path in root.glob(f"*/{_JSON}"))
    studies = _ordered([(read(path), f"{path.parent.name}/{_PAGE}") for path in there])
    atomic.write_text(root / _PAGE, index(studies))
    return folder / _PAGE


def commit(found: Mapping[str, Any], results: Path = RESULTS, docs: Path = DOCS) -> Path:
    """Puts what a study found among the committed results, and writes the docs anew. Returns where."""
    path = results / f"{found['study']}.{found['scale']}.json"
    atomic.write_text(path, as_text(found))
    write_docs(results, docs)
    return path


def write_docs(results: Path = RESULTS, docs: Path = DOCS) -> None:
    """Writes the docs from the committed results."""
    atomic.write_text(docs, docs_text(results))


def docs_text(results: Path = RESULTS, fits: Path = FITS) -> str:
    """What the docs say, by the committed results."""
    found = _ordered([(read(path), "") for path in sorted(results.glob("*.json"))])
    return document([each for each, _ in found], paper_scales.read(fits))


def read(path: epath.Path | Path) -> dict[str, Any]:
    """Findings that were written. Raises ValueError if they are none, or of another format."""
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path} holds no findings of format {FORMAT}; run the study again to write them anew")
    return found


def as_text(found: Mapping[str, Any]) -> str:
    """Findings as JSON, one value of a list a line at most."""
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def _ordered(studies: list[tuple[dict[str, Any], str]]) -> list[tuple[dict[str, Any], str]]:
    return sorted(studies, key=lambda each: (each[0]["study"], NAMES.index(each[0]["scale"])))
