"""Figures of compiled steps, kept as JSON: of each name a dataclass that says what it is of."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from experiments.planning.provenance import Provenance

T = TypeVar("T")


def read(path: Path, kind: type[T]) -> dict[str, T]:
    """Name -> what is kept of it, a `kind`; none where there is no file."""
    if not path.is_file():
        return {}
    return {name: _made(kind, fields) for name, fields in json.loads(path.read_text()).items()}


def written(figures: Mapping[str, Any], names: Iterable[str]) -> str:
    """What there is of these names as JSON, in their order."""
    return json.dumps({name: dataclasses.asdict(figures[name]) for name in names if name in figures}, indent=1) + "\n"


def rounded(value: float) -> float:
    """To four figures."""
    return float(f"{value:.4g}")


def _made(kind: type[T], fields: Mapping[str, Any]) -> T:
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return kind(**{**plain, "provenance": Provenance(**fields["provenance"])})
