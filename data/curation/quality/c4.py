"""The rules by which C4 was made from Common Crawl."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from data.curation.quality.text_parts import TextParts
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document
from data.pinned_file import PinnedFile

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
# The end of a sentence inside a line: a mark, closing quotes and brackets, a space, and no small letter after it.
_SENTENCE_BREAK = re.compile(r"[.!?]['\"”’)\]]*\s+(?=[^\sa-z])")


@dataclass(frozen=True)
class C4Rules(DocumentTransform):
    """Keeps the lines of a page that are sentences, and drops pages that have few, or hold code or bad words.

    Rules and constants: Raffel et al., Exploring the limits of transfer learning with a unified text-to-text
    transformer, JMLR 2020 (arXiv:1910.10683), section 2.2, in the order of the code that made C4
    (`clean_page` in TensorFlow Datasets' `text/c4_utils.py`). A line loses citation marks of Wikipedia; it goes if a
    word in it is too long, if it does not end with a mark or ends with an ellipsis, has too few words, mentions
    Javascript or is about cookies and terms of use. A line that would stay but holds `{` or "lorem ipsum" drops the
    page. An early version of the paper, and datatrove after it, has 5 sentences and 3 words instead of 3 and 5.
    Sentences are counted by their ends, without knowledge of abbreviations. The removal of three-line duplicates is
    a transform of the corpus.

    Attributes:
      min_sentences: how many sentences are left in a page.
      min_words: how many words, between white space, a line has.
      max_word_length: characters of the longest word of a line.
      end_marks: how a line ends; with none, as in FineWeb's use of these rules, lines may end in any way.
      bad_words: a list of words and phrases, one a line, that drop a page in upper or lower case; none is shipped.

    Raises:
      ValueError: at the start, when the list is not the one that was pinned.
    """

    min_sentences: int = 3
    min_words: int = 5
    max_word_length: int = 1000
    end_marks: tuple[str, ...] = (".", "?", "!", '"', "”")
    bad_words: PinnedFile | None = None

    def start(self) -> Callable[[Document], Verdict]:
        has_bad_word = _finder(self.bad_words) if self.bad_words else None

        def judge(document: Document) -> Verdict:
            if has_bad_word and has_bad_word(document.text):
                return Verdict(None, {"c4: bad word": 1})
            kept, removed, sentences = [], [], 0
            reasons: Counter[str] = Counter()
            for line in map(str.strip, document.text.splitlines()):
                before, line = line, _CITATION.sub("", line).strip() if "[" in line else line
                reasons["c4: citation mark"] += line != before
                fault = self._fault(line)
                if fault in ("lorem ipsum", "curly bracket"):
                    return Verdict(None, {f"c4: {fault}": 1})
                if fault is None:
                    kept.append(line)
                    if sentences < self.min_sentences:
                        sentences += 1 + len(_SENTENCE_BREAK.findall(line))
                elif before:
                    reasons[f"c4: {fault}"] += 1
                    removed.append(before)
            if not kept or sentences < self.min_sentences:
                return Verdict(None, {"c4: too few sentences": 1})
            text = "\n".join(kept)
            if text == document.text:
                return Verdict(document)
            reasons["c4: white space"] += not +reasons
            return Verdict(replace(document, text=text), +reasons, removed)

        return judge

    def _fault(self, line: str) -> str | None:
        """What is wrong with a line, or None."""
        words = line.split()
        if len(line) > self.max_word_length and max(map(len, words), default=0) > self.max_word_length:
            return "line with a long word"
        if self.end_marks and (not line.endswith(self.end_marks) or line.endswith("...")):
            return "line without an end mark"
        if len(words) < self.min_words:
            return "short line"
        plain = line.lower()
        if "lorem ipsum" in plain:
            return "lorem ipsum"
        if "javascript" in plain:
            return "line about Javascript"
        if "{" in line:
            return "curly bracket"
        if any(policy in plain for policy in _POLICIES):
            return "line about policies"
        return None


def _finder(file: PinnedFile) -> Callable[[str], bool]:
    phrases = [" ".join(TextParts(line.lower()).words) for line in file.read().decode("utf-8").splitlines()]
    single = {phrase for phrase in phrases if phrase and " " not in phrase}
    several = [f" {phrase} " for phrase in phrases if " " in phrase]

    def found(text: str) -> bool:
        words = TextParts(text.lower()).words
        if not single.isdisjoint(words):
            return True
        joined = f" {' '.join(words)} " if several else ""
        return any(phrase in joined for phrase in several)

    return found
