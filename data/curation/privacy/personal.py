"""Personal data and secrets: found by kind, and redacted, or their document dropped."""

import abc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from data.curation.privacy.card_number import CardNumber
from data.curation.privacy.contact import Email, IpAddress, Phone
from data.curation.privacy.kinds import PersonalKind, Span
from data.curation.privacy.secret import Secret
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document

Found = tuple[PersonalKind, Span]


class PersonalAction(abc.ABC):
    """What becomes of a document with personal data: a frozen dataclass."""

    @abc.abstractmethod
    def settle(self, document: Document, kinds: Sequence[PersonalKind], found: Sequence[Found]) -> Verdict:
        """The verdict on a document in which something was found; it shows masked values only."""


@dataclass(frozen=True)
class Redact(PersonalAction):
    """Puts a token in the place of each value: `<email>`, `<ip>`, `<phone>`, `<card>`, `<id>`, `<secret>`.

    A constant token, as StarCoder (Li et al. 2023, arXiv:2305.06161, section 4) and Dolma (Soldaini et al. 2024,
    arXiv:2402.00159, section 5.2) use; FineWeb (Penedo et al. 2024, arXiv:2406.17557) puts constant false addresses.
    """

    def settle(self, document: Document, kinds: Sequence[PersonalKind], found: Sequence[Found]) -> Verdict:
        text, masked, everything = document.text, list[str](), list[Found]()
        # What stood beside a value can be a value once that is gone, so this goes on until nothing is found.
        while found:
            parts, done = [], 0
            for kind, (start, end) in found:
                parts += [text[done:start], kind.token]
                masked.append(kind.mask(text[start:end]))
                done = end
            text = "".join(parts) + text[done:]
            everything += found
            found = find_personal(text, kinds)
        return Verdict(replace(document, text=text), _reasons(everything, kinds), masked)


@dataclass(frozen=True)
class DropPersonal(PersonalAction):
    """Drops the document."""

    def settle(self, document: Document, kinds: Sequence[PersonalKind], found: Sequence[Found]) -> Verdict:
        masked = [kind.mask(document.text[start:end]) for kind, (start, end) in found]
        return Verdict(None, _reasons(found, kinds), masked)


@dataclass(frozen=True)
class PersonalData(DocumentTransform):
    """Finds personal data and secrets, and redacts them or drops their document.

    The account shows what was found in a masked form only ("a***@e***.com"), also of a dropped document. It shows
    excerpts of what other transforms drop as they are: put this one before them.

    Attributes:
      kinds: what is looked for; where two overlap, what starts first counts, then the longer, then the one named
        first here.
      action: what becomes of a document in which something is found.
    """

    SECTION: ClassVar[str] = "Personal data"

    kinds: tuple[PersonalKind, ...] = (Email(), IpAddress(), Phone(), CardNumber(), Secret())
    action: PersonalAction = Redact()

    def start(self) -> Callable[[Document], Verdict]:
        def judge(document: Document) -> Verdict:
            found = find_personal(document.text, self.kinds)
            return self.action.settle(document, self.kinds, found) if found else Verdict(document)

        return judge


def _reasons(found: Sequence[Found], kinds: Sequence[PersonalKind]) -> dict[str, int]:
    """How often each kind was found, in the order of the kinds, so that documents with the same kinds are alike."""
    counts = Counter(kind.name for kind, _ in found)
    return {kind.name: counts[kind.name] for kind in kinds if kind.name in counts}


def find_personal(text: str, kinds: Sequence[PersonalKind]) -> list[Found]:
    """What is found of these kinds, in order, without overlaps."""
    found = [(kind, span) for kind in kinds for span in kind.find(text)]
    if len(found) < 2:
        return found
    found.sort(key=lambda item: (item[1][0], -item[1][1]))
    kept = found[:1]
    for kind, span in found[1:]:
        if span[0] >= kept[-1][1][1]:
            kept.append((kind, span))
    return kept
