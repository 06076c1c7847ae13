"""One way to write the same text."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# C0 and C1 controls but tab and newline, and noncharacters and marks that only steer display.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_BLANK_LINES = re.compile(r"\n{4,}")


@dataclass(frozen=True)
class Clean(DocumentTransform):
    """Canonical Unicode (NFC) and newlines, no control characters, no white space at the ends
    of lines, at most two blank lines in a row, none at the ends of the document.

    Leading spaces stay: they carry meaning in code and in verse. A document that has nothing
    left is dropped.
    """

    def start(self) -> Callable[[Document], Verdict]:
        return _clean


def _clean(document: Document) -> Verdict:
    rules: tuple[tuple[str, Callable[[str], str]], ...] = (
        # A plain search rules most texts out sooner than a pattern goes through them.
        ("newlines", lambda text: _NEWLINES.sub("\n", text) if _has_other_newlines(text) else text),
        ("control characters", lambda text: _CONTROLS.sub("", text)),
        ("Unicode form", lambda text: text if text.isascii() else unicodedata.normalize("NFC", text)),
        ("trailing white space", lambda text: "\n".join([line.rstrip() for line in text.split("\n")])),
        ("blank lines", lambda text: (_BLANK_LINES.sub("\n\n\n", text) if "\n\n\n\n" in text else text).strip("\n")),
    )
    text, reasons = document.text, {}
    for reason, rule in rules:
        before, text = text, rule(text)
        if text != before:
            reasons[reason] = 1
    if not text:
        return Verdict(None, {"empty": 1})
    return Verdict(replace(document, text=text) if reasons else document, reasons)


def _has_other_newlines(text: str) -> bool:
    return not text.isascii() or any(character in text for character in "\r\x0b\x0c")
