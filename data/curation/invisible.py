"""Characters that nobody sees."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document

# Tags spell the names of regional flags after a black flag; anywhere else they are text in hiding.
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[\U000e0000-\U000e007f]+")
# In Thai, Lao, Burmese and Khmer, which put no spaces between words, it marks where a word ends.
_ZERO_WIDTH_SPACE = re.compile("(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b+")
_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("direction controls", re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+"), ""),
    ("soft hyphens", re.compile("\u00ad+"), ""),
    ("zero-width spaces", _ZERO_WIDTH_SPACE, ""),
    ("format controls", re.compile("[\u2060-\u2064\u206a-\u206f\ufff9-\ufffb]+"), ""),
    ("hidden tags", _TAGS, r"\1"),
)


@dataclass(frozen=True)
class RemoveInvisible(DocumentTransform):
    """Removes characters that change nothing but how text is displayed, or hide text in it.

    Direction controls (with which code can be shown in another order than it runs in: Boucher and Anderson, Trojan
    Source, 2021, arXiv:2111.00169), soft hyphens, zero-width spaces except after a letter of Thai, Lao, Burmese or
    Khmer, word joiners, invisible operators, annotation anchors, and tag characters outside of flags. Zero-width
    joiners and non-joiners stay: Persian, the scripts of India and emoji are spelt with them.
    """

    def start(self) -> Callable[[Document], Verdict]:
        return _judge


def _judge(document: Document) -> Verdict:
    text, reasons = document.text, {}
    if text.isascii():
        return Verdict(document)
    for reason, pattern, replacement in _RULES:
        before, text = text, pattern.sub(replacement, text)
        if text != before:
            reasons[reason] = 1
    return Verdict(replace(document, text=text) if reasons else document, reasons)
