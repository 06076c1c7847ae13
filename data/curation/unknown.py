"""What becomes of a document of which a policy cannot know whether it may be used."""

import abc
from dataclasses import dataclass

from data.curation.transform import Verdict
from data.document import Document


class Unknown(abc.ABC):
    """A choice of what to do where permission is not known: a frozen dataclass. Kept or not, it is counted."""

    @abc.abstractmethod
    def settle(self, document: Document, reason: str) -> Verdict:
        """The verdict on a document; `reason` says what is not known."""


@dataclass(frozen=True)
class DropUnknown(Unknown):
    """What is not known to be allowed is dropped."""

    def settle(self, document: Document, reason: str) -> Verdict:
        return Verdict(None, {reason: 1})


@dataclass(frozen=True)
class KeepUnknown(Unknown):
    """What is not known to be denied is kept, and counted as "..., kept"."""

    def settle(self, document: Document, reason: str) -> Verdict:
        return Verdict(document, {f"{reason}, kept": 1})
