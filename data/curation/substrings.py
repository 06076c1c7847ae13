"""Long passages that occur twice anywhere in a bounded corpus, found with a suffix array (Lee et al. 2022)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int, UInt8

from data.curation.join import CorpusText
from data.curation.transform import CorpusTransform, Verdict
from data.document import Document
from data.sources.base import Source

# A byte that no UTF-8 text has, so that no passage reaches from one document into the next.
_SEPARATOR = 0xFF
# Suffixes that are looked at together.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Substrings(CorpusTransform):
    """Removes every passage of at least `bytes` bytes that occurs earlier, in any document, byte for byte.

    What goes is every run of `bytes` bytes of which an equal one ends before it begins; of a character, all
    bytes or none. The first occurrence stays whole. A document that has nothing left is dropped.

    Lee et al. 2022 (section 4.1) remove passages of 50 tokens, here taken at four bytes each. All texts lie in
    the memory of one process; `limit` keeps them there.

    Attributes:
      bytes: the length in UTF-8 from which a passage is removed.
      limit: the most bytes that the corpus, together with `against`, may have.
      against: an earlier corpus, whose passages count as seen before, or None.

    Raises:
      ValueError: when `bytes` or `limit` is less than 1.
    """

    bytes: int = 200
    limit: int = 1 << 28
    against: Source | None = None

    def __post_init__(self) -> None:
        for name in ("bytes", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"Substrings.{name} is {getattr(self, name)}, but must be at least 1")

    @property
    def join(self) -> "Repeats":
        return Repeats(self.bytes, self.limit)

    def start_signature(self) -> Callable[[Document], "bytes"]:
        return lambda document: document.text.encode()

    def start_apply(self) -> Callable[[Document, Int[np.ndarray, "pieces 2"]], Verdict]:
        return _cut

    def earlier(self) -> Source | None:
        return self.against


@dataclass(frozen=True)
class Repeats(CorpusText):
    """Where in each text something stands that occurred before.

    Finding: int64 [pieces, 2], where each piece begins and ends, in bytes; in order and apart.
    Memory: 14 bytes a byte of text, by `python -m experiments.benchmark curate`.

    Attributes:
      length: what is repeated has at least this many bytes.
      limit: the most bytes that all texts may have together.
    """

    length: int
    limit: int

    def compare(self, texts: Sequence[UInt8[np.ndarray, " _"]]) -> list[Int[np.ndarray, "_ 2"]]:
        """The pieces of each text.

        Raises:
          ValueError: when the texts are longer than `limit`.
        """
        total = sum(text.size for text in texts)
        if total > self.limit:
            raise ValueError(
                f"the corpus has {total:,} bytes of text, more than Substrings.limit = {self.limit:,}; raise the"
                " limit if memory allows (14 bytes a byte of text), deduplicate by documents, paragraphs or"
                " lines before, or curate the corpus in parts, each against those before it"
            )
        joined = np.full(total + len(texts), _SEPARATOR, np.uint8)
        ends = np.cumsum([text.size + 1 for text in texts]) - 1
        for text, end in zip(texts, ends, strict=True):
            joined[end - text.size : end] = text
        begins = _repeated(joined, self.length)
        return [
            _pieces(text, np.flatnonzero(begins[end - text.size : end - self.length + 1]), self.length)
            if text.size >= self.length
            else np.zeros((0, 2), np.int64)
            for text, end in zip(texts, ends, strict=True)
        ]


def _repeated(text: UInt8[np.ndarray, " bytes"], length: int) -> Bool[np.ndarray, " bytes"]:
    """Where a run of `length` bytes begins of which an equal one ends before.

    Only runs within one document are sure to be right: others are compared across separators.
    """
    begins = np.zeros(text.size, bool)
    for equal, first in _equal_runs(text, length):
        begins[equal[equal - first >= length]] = True
    return begins


def _equal_runs(
    text: UInt8[np.ndarray, " bytes"], length: int
) -> Iterator[tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"]]]:
    """Where runs begin that have an equal, with the first place where an equal one begins."""
    from pydivsufsort import divsufsort, kasai

    if text.size < 2:
        return
    suffixes = divsufsort(text)
    # Suffixes in their order are equal for `length` bytes as long as neighbours are.
    linked = kasai(text, suffixes)[:-1] >= length
    start = 0
    while start < text.size:
        end = min(start + _BLOCK, text.size)
        if end < text.size and linked[end - 1]:
            rest = linked[end - 1 :]
            end = end - 1 + int(rest.argmin()) + 1 if not rest.all() else text.size
        inside = linked[start : end - 1]
        follows = np.concatenate([[False], inside])
        member = follows | np.concatenate([inside, [False]])
        heads = np.flatnonzero(~follows[member])
        if heads.size:
            equal = suffixes[start:end][member]
            sizes = np.diff(heads, append=equal.size)
            yield equal, np.repeat(np.minimum.reduceat(equal, heads), sizes)
        start = end


def _pieces(
    text: UInt8[np.ndarray, " bytes"], begins: Int[np.ndarray, " runs"], length: int
) -> Int[np.ndarray, "pieces 2"]:
    """What runs of `length` bytes cover together, less the parts of characters at its ends."""
    if not begins.size:
        return np.zeros((0, 2), np.int64)
    apart = np.diff(begins) > length
    first = begins[np.concatenate([[True], apart])]
    last = begins[np.concatenate([apart, [True]])] + length
    # A character of UTF-8 has up to three bytes after its first, all of the form 10xxxxxx.
    continues = np.append((text & 0xC0) == 0x80, False)
    for _ in range(3):
        first = first + continues[first]
        last = last - continues[last]
    return np.stack([first, last], axis=1)[first < last]


def _cut(document: Document, pieces: Int[np.ndarray, "pieces 2"]) -> Verdict:
    if not len(pieces):
        return Verdict(document)
    raw = document.text.encode()
    edges = [0, *pieces.ravel().tolist(), len(raw)]
    parts = [raw[a:b].decode() for a, b in zip(edges, edges[1:], strict=False)]
    text = "".join(parts[::2])
    reasons = {"repeated passage": len(pieces)}
    if not text.strip():
        return Verdict(None, reasons)
    return Verdict(replace(document, text=text), reasons, parts[1::2])
