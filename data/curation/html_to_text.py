"""The text of web pages."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document

_HTML_TYPES = ("text/html", "application/xhtml+xml")
# What may stand before the first element of a page: an XML declaration, comments, white space.
_SNIFFED = 2048
_PAGE = re.compile(r"(?:\s|<\?[^>]*>|<!--.*?-->)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
# As deep as Chromium's parser lets a page nest (kMaximumHTMLParserDOMTreeDepth): no page that people see is deeper.
_DEEPEST = 512


@dataclass(frozen=True)
class HtmlToText(DocumentTransform):
    """Replaces a page of HTML by the text that a reader sees, with resiliparse; other documents stay as they are.

    A document is a page if its `meta["content_type"]` says so, or, where it says nothing, if it begins as one. Title
    and declared language go to `meta["title"]` and `meta["html_language"]`, and `meta["content_type"]` becomes
    `text/plain`. Paragraphs, line breaks, list bullets and preformatted text keep their lines.

    A page without text is dropped, and so is one that is longer than `characters`, or nested deeper than 512
    elements where it has that many `div`: extraction takes time that grows with the square of their depth.

    Attributes:
      main_content: leaves out what looks like navigation, advertisement, comments and footers, by resiliparse's
        rules; without it all visible text stays.
      alt_texts: also takes what images say that they show.
      characters: the longest page that is looked at.

    Raises:
      ValueError: when `characters` is less than 1.
    """

    main_content: bool = True
    alt_texts: bool = False
    characters: int = 5 << 20

    def __post_init__(self) -> None:
        if self.characters < 1:
            raise ValueError(f"HtmlToText.characters is {self.characters}, but must be at least 1")

    def start(self) -> Callable[[Document], Verdict]:
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.html import HTMLTree

        def judge(document: Document) -> Verdict:
            if not is_html(document):
                return Verdict(document)
            if len(document.text) > self.characters:
                return Verdict(None, {"html: page too long": 1})
            tree = HTMLTree.parse(document.text)
            if document.text.lower().count("<div") > _DEEPEST and _deeper(tree.document, _DEEPEST):
                return Verdict(None, {"html: nested too deep": 1})
            text = extract_plain_text(tree, main_content=self.main_content, alt_texts=self.alt_texts).strip()
            if not text:
                return Verdict(None, {"html: no text": 1})
            meta = {**document.meta, **_head(tree), "content_type": "text/plain"}
            return Verdict(replace(document, text=text, meta=meta), {"html: text extracted": 1})

        return judge


def is_html(document: Document) -> bool:
    """Whether a document is a page of HTML, by what is said of it or else by how it begins."""
    stated = document.meta.get("content_type")
    if isinstance(stated, str) and stated:
        return stated.partition(";")[0].strip().lower() in _HTML_TYPES
    return _PAGE.match(document.text[:_SNIFFED]) is not None


def _head(tree: Any) -> dict[str, str]:
    root = tree.document.query_selector("html")
    found = {"title": tree.title, "html_language": root.getattr("lang") if root else None}
    return {key: " ".join(value.split()) for key, value in found.items() if value and value.strip()}


def _deeper(node: Any, limit: int) -> bool:
    """Whether some node lies more than `limit` below this one; without recursion, which depth would exhaust."""
    depth = 0
    while depth <= limit:
        child = node.first_child
        if child is not None:
            node, depth = child, depth + 1
            continue
        while depth and node.next is None:
            node, depth = node.parent, depth - 1
        if not depth:
            return False
        node = node.next
    return True
