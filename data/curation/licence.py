"""Which licences a corpus may have."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import ClassVar

from data.curation.spdx import Standing, check_patterns, read_licence, standing
from data.curation.transform import DocumentTransform, Verdict
from data.curation.unknown import DropUnknown, Unknown
from data.document import Document

# Licences are few; a corpus whose every document has another one shall not fill the memory.
_REMEMBERED = 4096


class SourceRule(abc.ABC):
    """What is known of a source: a frozen dataclass.

    Attributes:
      source: the name of a source, or a pattern with `*`.
    """

    source: str


@dataclass(frozen=True)
class AllowSource(SourceRule):
    """The source is allowed, by an agreement that its documents do not mention. A denied licence stays denied."""

    source: str


@dataclass(frozen=True)
class DenySource(SourceRule):
    """The source is denied, whatever its licences."""

    source: str


@dataclass(frozen=True)
class AssumeLicence(SourceRule):
    """Documents of the source that do not say their licence have this one.

    Attributes:
      licence: an SPDX expression.

    Raises:
      ValueError: when the licence cannot be read.
    """

    source: str
    licence: str

    def __post_init__(self) -> None:
        if read_licence(self.licence) is None:
            raise ValueError(f"AssumeLicence.licence is '{self.licence}', but must be an SPDX expression")


@dataclass(frozen=True)
class LicencePolicy(DocumentTransform):
    """Keeps documents whose licence is allowed, and drops the others.

    A licence is read as an SPDX expression: of "A OR B" one must be allowed, of "A AND B" both. What is denied
    is dropped also where a pattern or a source would allow it. A licence that is missing, that cannot be read or
    that SPDX does not list is unknown: a class of its own, dropped as "licence unknown" unless `unknown` says
    otherwise, and then counted as "licence unknown, kept".

    Attributes:
      allow: SPDX identifiers, or patterns of them with `*` ("CC-BY-*").
      deny: the same.
      unknown: what becomes of documents of unknown licence.
      sources: what is known of whole sources.

    Raises:
      ValueError: when a pattern fits no licence that SPDX lists.
    """

    SECTION: ClassVar[str] = "Licences and robots"

    allow: tuple[str, ...]
    deny: tuple[str, ...] = ()
    unknown: Unknown = DropUnknown()
    sources: tuple[SourceRule, ...] = ()

    def __post_init__(self) -> None:
        check_patterns(self.allow, "LicencePolicy.allow")
        check_patterns(self.deny, "LicencePolicy.deny")

    def start(self) -> Callable[[Document], Verdict]:
        decide = lru_cache(_REMEMBERED)(self._decide)

        def judge(document: Document) -> Verdict:
            found, reason = decide(document.source, document.licence)
            if found is Standing.ALLOWED:
                return Verdict(document)
            if found is Standing.UNKNOWN:
                return self.unknown.settle(document, reason)
            return Verdict(None, {reason: 1})

        return judge

    def _decide(self, source: str, written: str) -> tuple[Standing, str]:
        rules = [rule for rule in self.sources if fnmatchcase(source, rule.source)]
        if any(isinstance(rule, DenySource) for rule in rules):
            return Standing.DENIED, "source denied"
        licence = read_licence(written)
        if licence is None:
            assumed = (rule.licence for rule in rules if isinstance(rule, AssumeLicence))
            licence = read_licence(next(assumed, "unknown"))
        found = standing(licence, self.allow, self.deny)
        if found is Standing.DENIED:
            return found, f"licence denied: {licence}"
        if any(isinstance(rule, AllowSource) for rule in rules):
            return Standing.ALLOWED, ""
        return found, "licence unknown" if found is Standing.UNKNOWN else f"licence not allowed: {licence}"
