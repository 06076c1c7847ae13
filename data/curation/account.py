"""The account of what curation did, kept while it runs and added up over shards."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from data.census import Census

# Enough to judge a rule by, few enough to print.
_SAMPLES = 3
_KINDS = 40
_EXCERPT = 240


@dataclass(frozen=True)
class Sample:
    """A piece of text that was dropped, or a record that could not be read: from where, why, and how it begins."""

    id: str
    reason: str
    excerpt: str


class Samples:
    """The first few samples of each reason, for the first few dozen reasons."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Sample]] = {}

    def add(self, document_id: str, reason: str, text: str) -> None:
        """Keeps an excerpt, unless there are enough."""
        self.keep(Sample(document_id, reason, text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."))

    def keep(self, sample: Sample) -> None:
        """Keeps a sample, unless there are enough."""
        if sample.reason not in self._kept and len(self._kept) >= _KINDS:
            return
        kept = self._kept.setdefault(sample.reason, [])
        if len(kept) < _SAMPLES:
            kept.append(sample)

    def __iter__(self) -> Iterable[Sample]:
        return (sample for kept in self._kept.values() for sample in kept)


@dataclass
class TransformReport:
    """What one transform did.

    Attributes:
      transform: its spec as JSON values.
      seen, changed, dropped, added: numbers of documents.
      characters_in, characters_out: lengths of the texts before and after.
      reasons: how often each reason to change or drop applied.
      tallies: what was counted, by name.
      samples: the first few texts that were dropped, in whole or in part, for each reason.
    """

    transform: dict[str, Any]
    seen: int = 0
    changed: int = 0
    dropped: int = 0
    added: int = 0
    characters_in: int = 0
    characters_out: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    tallies: dict[str, int] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)

    def merge(self, later: Mapping[str, Any]) -> None:
        """Adds the report, as JSON values, of the same transform on later documents."""
        for name in ("seen", "changed", "dropped", "added", "characters_in", "characters_out"):
            setattr(self, name, getattr(self, name) + later[name])
        add_counts(self.reasons, later["reasons"])
        add_counts(self.tallies, later["tallies"])
        for sample in later["samples"]:
            self.samples.keep(Sample(**sample))

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; names in their order, so that the order of arrival leaves no trace."""
        plain = {name: value for name, value in vars(self).items() if name != "samples"}
        plain["reasons"], plain["tallies"] = (dict(sorted(plain[name].items())) for name in ("reasons", "tallies"))
        return plain | {"samples": [asdict(sample) for sample in self.samples]}


@dataclass
class CurationReport:
    """What came in, what could not be read, what each transform did, in their order, and what came out."""

    transforms: list[TransformReport]
    collected: Census = field(default_factory=Census)
    kept: Census = field(default_factory=Census)
    bad: dict[str, int] = field(default_factory=dict)
    bad_samples: Samples = field(default_factory=Samples)

    def merge(self, later: Mapping[str, Any]) -> None:
        """Adds the report, as JSON values, on later documents of the same corpus."""
        self.collected.merge(later["collected"])
        self.kept.merge(later["kept"])
        add_counts(self.bad, later["bad"])
        for sample in later["bad_samples"]:
            self.bad_samples.keep(Sample(**sample))
        for mine, theirs in zip(self.transforms, later["transforms"], strict=True):
            mine.merge(theirs)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "collected": self.collected.to_json(),
            "kept": self.kept.to_json(),
            "bad": dict(sorted(self.bad.items())),
            "bad_samples": [asdict(sample) for sample in self.bad_samples],
            "transforms": [report.to_json() for report in self.transforms],
        }


def add_counts(counts: dict[str, int], more: Mapping[str, int]) -> None:
    """Adds numbers by name to `counts`."""
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
