"""The unit of a corpus."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Document:
    """One text and where it is from.

    Attributes:
      text: the text, without lone surrogates.
      id: names the document within its source, the same in every run.
      source: the name of the source.
      licence: an SPDX identifier, or "unknown".
      language: a BCP 47 tag, or "unknown".
      meta: whatever else the source says of it.
    """

    text: str
    id: str
    source: str
    licence: str = "unknown"
    language: str = "unknown"
    meta: Mapping[str, Any] = field(default_factory=dict)
