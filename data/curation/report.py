"""The account of what curation did, kept while it runs."""

from dataclasses import asdict, dataclass, field
from typing import Any

# Enough to judge a rule by, few enough to print.
_SAMPLES = 5
_EXCERPT = 240


@dataclass(frozen=True)
class Sample:
    """A piece of text that was dropped: from where, why, and how it begins."""

    id: str
    reason: str
    excerpt: str


@dataclass
class TransformReport:
    """What one transform did.

    Attributes:
      transform: its spec as JSON values.
      seen, changed, dropped: numbers of documents.
      characters_in, characters_out: lengths of the texts before and after.
      reasons: how often each reason to change or drop applied.
      samples: the first few texts that were dropped, in whole or in part.
    """

    transform: dict[str, Any]
    seen: int = 0
    changed: int = 0
    dropped: int = 0
    characters_in: int = 0
    characters_out: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def add_sample(self, document_id: str, reason: str, text: str) -> None:
        """Keeps an excerpt of a dropped text, unless there are enough."""
        if len(self.samples) < _SAMPLES:
            excerpt = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
            self.samples.append(Sample(document_id, reason, excerpt))


@dataclass
class CurationReport:
    """What all transforms did, in their order, and what came in and out of them."""

    transforms: list[TransformReport]
    documents_in: int = 0
    documents_out: int = 0
    characters_in: int = 0
    characters_out: int = 0

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)
