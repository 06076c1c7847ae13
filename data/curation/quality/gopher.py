"""The quality rules of Gopher."""

from collections.abc import Callable
from dataclasses import dataclass

from data.curation.quality.text_parts import TextParts, text_parts
from data.curation.transform import DocumentTransform, Verdict
from data.document import Document

_BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "·", "–", "-", "*")
_ELLIPSES = ("...", "…")


@dataclass(frozen=True)
class GopherQuality(DocumentTransform):
    """Drops documents that do not look like text that someone wrote, by the first of these rules that they break.

    Rules and constants: Rae et al., Scaling language models: methods, analysis and insights from training Gopher,
    2021 (arXiv:2112.11446), appendix A1.1, "Quality filtering". Words are those of `TextParts`, and lines those that
    are not blank. The rules are made for languages with spaces between words, and the stop words are English.

    Attributes:
      min_words, max_words: how many words a document has.
      min_mean_length, max_mean_length: characters of a word, on average.
      symbols: the largest number of hashes, and of ellipses, for each word.
      bullets: the largest share of lines that begin with a bullet.
      ellipses: the largest share of lines that end with an ellipsis.
      alphabetic: the least share of words with an alphabetic character.
      stop_words: of these words, in lower or upper case...
      min_stop_words: ...a document has so many different ones.

    Raises:
      ValueError: when a least value is above the largest.
    """

    min_words: int = 50
    max_words: int = 100_000
    min_mean_length: float = 3.0
    max_mean_length: float = 10.0
    symbols: float = 0.1
    bullets: float = 0.9
    ellipses: float = 0.3
    alphabetic: float = 0.8
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    min_stop_words: int = 2

    def __post_init__(self) -> None:
        for name in ("words", "mean_length"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if least > most:
                raise ValueError(f"GopherQuality.min_{name} is {least}, but max_{name} is {most}")

    def start(self) -> Callable[[Document], Verdict]:
        forms = {form for word in self.stop_words for form in (word, word.capitalize(), word.upper())}

        def judge(document: Document) -> Verdict:
            broken = self._broken(text_parts(document.text), forms)
            return Verdict(None, {f"gopher: {broken}": 1}) if broken else Verdict(document)

        return judge

    def _broken(self, parts: TextParts, stop_words: set[str]) -> str | None:
        words, lines, count = parts.words, parts.lines, len(parts.words)
        # Divided, so that a share that is exactly at its limit compares equal to it.
        if count < self.min_words:
            return "too few words"
        if count > self.max_words:
            return "too many words"
        if not count:
            return "no words"
        if not self.min_mean_length <= parts.characters / count <= self.max_mean_length:
            return "mean word length"
        if parts.text.count("#") / count > self.symbols:
            return "too many hashes"
        if sum(map(parts.text.count, _ELLIPSES)) / count > self.symbols:
            return "too many ellipses"
        if sum(line.startswith(_BULLETS) for line in lines) / len(lines) > self.bullets:
            return "bullet lines"
        if sum(line.endswith(_ELLIPSES) for line in lines) / len(lines) > self.ellipses:
            return "ellipsis lines"
        if _alphabetic(words) / count < self.alphabetic:
            return "words without letters"
        if len({word.lower() for word in stop_words.intersection(words)}) < self.min_stop_words:
            return "too few stop words"
        return None


def _alphabetic(words: list[str]) -> int:
    # Most words have nothing but letters, which is asked faster.
    others = [word for word in words if not word.isalpha()]
    return len(words) - sum(not any(map(str.isalpha, word)) for word in others)
