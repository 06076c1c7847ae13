"""Two columns of a table as one text."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document


@dataclass(frozen=True)
class WithField(DocumentTransform):
    """Puts another field of the record behind the text, after a mark: pairs, as of a text and its translation.

    What the mark is made of becomes a space where it stands in either of them. Documents without the field, or with
    nothing on one side, are dropped.

    Attributes:
      field: the name that the source gives it, in the document's `meta`.
      mark: what stands between the two.

    Raises:
      ValueError: when the mark is empty.
    """

    field: str
    mark: str = "\t"

    def __post_init__(self) -> None:
        if not self.mark:
            raise ValueError("WithField.mark is empty; give a text that tells the two apart")

    def start(self) -> Callable[[Document], Verdict]:
        return self._judge

    def _judge(self, document: Document) -> Verdict:
        other = document.meta.get(self.field)
        if not isinstance(other, str):
            return Verdict(None, {f"no text in {self.field!r}": 1})
        parts = [part.replace(self.mark, " ").strip() for part in (document.text, other)]
        if not all(parts):
            return Verdict(None, {"nothing on one side": 1})
        meta = {name: value for name, value in document.meta.items() if name != self.field}
        return Verdict(replace(document, text=self.mark.join(parts), meta=meta), {"joined": 1})
