"""Rules about how long a document is."""

from collections.abc import Callable
from dataclasses import dataclass

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document


@dataclass(frozen=True)
class MinLength(DocumentTransform):
    """Drops documents of fewer than `characters` characters.

    Raises:
      ValueError: when `characters` is less than 1.
    """

    characters: int

    def __post_init__(self) -> None:
        if self.characters < 1:
            raise ValueError(f"MinLength.characters is {self.characters}, but must be at least 1")

    def start(self) -> Callable[[Document], Verdict]:
        return self._judge

    def _judge(self, document: Document) -> Verdict:
        if len(document.text) < self.characters:
            return Verdict(None, {f"shorter than {self.characters} characters": 1})
        return Verdict(document)
