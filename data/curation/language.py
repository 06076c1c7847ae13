"""The language of documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document
from data.table import Table

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Language:
    """A language to keep.

    Attributes:
      code: as the identifier names it (ISO 639), "en".
      threshold: the least probability, in [0, 1], with which a document must be of this language. 0.65 is
        FineWeb's (Penedo et al., 2024, arXiv:2406.17557, section 3.3), for another identifier.

    Raises:
      ValueError: when `threshold` is outside.
    """

    code: str
    threshold: float = 0.65

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"Language.threshold is {self.threshold} for '{self.code}', but must be in [0, 1]")


@dataclass(frozen=True)
class IdentifyLanguage(DocumentTransform):
    """Writes down in what language a document is, and keeps the languages asked for.

    The identifier is langid's naive Bayes model over byte n-grams (Lui and Baldwin, 2012, ACL P12-3005) as packed in
    py3langid, with nothing to download. Its probabilities are softened by the square root of the number of bytes,
    so that they mean about the same for long and short texts. What it finds goes to `language`, its probability to
    `meta["language_probability"]`; what is less probable than all others together stays "unknown".

    Attributes:
      keep: languages to keep, each from a probability on; all are kept if there are none.
      overrule: whether documents are identified whose source states a language. Otherwise what is stated is
        believed, and judged by its first part ("en" of "en-GB") without a threshold.
      characters: how many of the first characters are looked at.

    Raises:
      ValueError: when `characters` is less than 1, a language is listed twice, or, at the start, unknown to the
        identifier.
    """

    keep: tuple[Language, ...] = ()
    overrule: bool = False
    characters: int = 1000

    def __post_init__(self) -> None:
        if self.characters < 1:
            raise ValueError(f"IdentifyLanguage.characters is {self.characters}, but must be at least 1")
        codes = [language.code for language in self.keep]
        if len(set(codes)) < len(codes):
            raise ValueError(f"IdentifyLanguage.keep lists a language twice: {', '.join(codes)}")

    def start(self) -> Callable[[Document], Verdict]:
        identifier = _identifier()
        thresholds = {language.code: language.threshold for language in self.keep}
        if strange := sorted(thresholds.keys() - set(identifier.labels)):
            known = ", ".join(sorted(identifier.labels))
            raise ValueError(f"IdentifyLanguage.keep has '{strange[0]}', which is none of the languages {known}")

        def judge(document: Document) -> Verdict:
            if document.language != UNKNOWN and not self.overrule:
                code = document.language.replace("_", "-").partition("-")[0].lower()
                return self._sort(document, code, 1.0, thresholds)
            code, probability = identifier.classify(document.text[: self.characters])
            probability = round(probability, 4)
            likely = code if code in thresholds or probability >= 0.5 else UNKNOWN
            meta = {**document.meta, "language_probability": probability}
            return self._sort(replace(document, language=likely, meta=meta), likely, probability, thresholds)

        return judge

    @staticmethod
    def _sort(document: Document, code: str, probability: float, thresholds: dict[str, float]) -> Verdict:
        if thresholds and code not in thresholds:
            return Verdict(None, {f"language: {code} is not kept": 1}, tallies={code: 1})
        if probability < thresholds.get(code, 0.0):
            return Verdict(None, {f"language: unsure of {code}": 1}, tallies={code: 1})
        return Verdict(document, tallies={code: 1})

    def tables(self, report: Mapping[str, Any]) -> Sequence[Table]:
        rows = sorted(report["tallies"].items(), key=lambda item: (-item[1], item[0]))
        return [Table("Languages found", ("Language", "Documents"), tuple(rows), "Documents")] if rows else []


# A second to load, and never changed: once a process is enough.
@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
