"""The stages from a source to token stores, each of which says in one line what it did."""

import time
from collections.abc import Callable, Iterable, Iterator

from etils import epath

from data.archive import read_documents, write_documents
from data.census import Census
from data.curation import CurationReport, Transform, curate
from data.document import Document
from data.sources import Source
from data.split import Split
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.tokenizers import Tokenizer, TokenizerSpec

# Characters encoded at a time: enough for the tokenizer's threads, little beside the text.
_ENCODED_AT_ONCE = 1 << 22

Log = Callable[[str], None]


class Stopwatch:
    """The seconds since it was made, and those of them spent waiting for a stream."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.waited = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.perf_counter() - self._start

    def timing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents; the time each takes to arrive adds to `waited`."""
        iterator = iter(documents)
        while True:
            start = time.perf_counter()
            document = next(iterator, None)
            self.waited += time.perf_counter() - start
            if document is None:
                return
            yield document


def collect_and_curate(
    source: Source, transforms: tuple[Transform, ...], path: epath.Path, log: Log
) -> tuple[CurationReport, Census, Census]:
    """Streams the source through the transforms into the archive `path`.

    Returns:
      The account of the transforms, what was collected, and what was kept.

    Raises:
      ValueError: when no document is left.
    """
    watch, collected, kept = Stopwatch(), Census(), Census()
    curated = curate(collected.counting(watch.timing(source.documents())), transforms)
    write_documents(path, kept.counting(curated))
    log(
        f"data: collected {_amount(collected)} from {type(source).__name__} in {watch.waited:.1f} s"
    )
    if not kept.documents:
        dropped = ", ".join(f"{t.transform['type']} {t.dropped}" for t in curated.report.transforms)
        raise ValueError(
            f"{type(source).__name__} gave {collected.documents} documents, of which none are left"
            f" to learn from (dropped by {dropped or 'no transform'})"
        )
    log(
        f"data: curated to {_amount(kept)} ({_outcome(curated.report)})"
        f" in {watch.seconds - watch.waited:.1f} s, wrote {path.name}"
    )
    return curated.report, collected, kept


def train_tokenizer(
    spec: TokenizerSpec,
    split: Split,
    documents: epath.Path,
    characters: int,
    to: epath.Path,
    log: Log,
) -> Tokenizer:
    """Trains a tokenizer on the training part of the archive `documents` and saves it in `to`."""
    watch = Stopwatch()
    divided = split.divide(read_documents(documents), characters)
    tokenizer = spec.train(
        document.text for part, document in divided if part == "train" or spec.covers_validation
    )
    tokenizer.save(to)
    log(
        f"data: made {type(spec).__name__} tokenizer with {tokenizer.vocab_size:,} ids"
        f" in {watch.seconds:.1f} s, wrote {to.name}/"
    )
    return tokenizer


def write_stores(
    tokenizer: Tokenizer,
    split: Split,
    documents: epath.Path,
    characters: int,
    into: epath.Path,
    log: Log,
) -> dict[str, TokenStore]:
    """Tokenizes the archive `documents` into the stores `into/train` and `into/validation`.

    Raises:
      ValueError: when either part has no token.
    """
    watch = Stopwatch()
    writers = {
        part: TokenStoreWriter(
            into / part,
            vocab_size=tokenizer.vocab_size,
            tokenizer=tokenizer.hash,
            separator=tokenizer.separator,
        )
        for part in ("train", "validation")
    }
    for batch in _batches(split.divide(read_documents(documents), characters)):
        texts = [document.text for _, document in batch]
        encoded = tokenizer.encode_batch(texts)
        for (part, _), text, ids in zip(batch, texts, encoded, strict=True):
            writers[part].append(ids, len(text.encode("utf-8")))
    stores = {part: writer.finish() for part, writer in writers.items()}
    for part, store in stores.items():
        if not len(store):
            raise ValueError(
                f"{split} left nothing for {part} of {stores['train'].documents} training and"
                f" {stores['validation'].documents} validation documents; choose another fraction"
                " or give more text"
            )
    log(
        "data: tokenized "
        + ", ".join(
            f"{len(s):,} tokens of {s.documents:,} documents for {p}" for p, s in stores.items()
        )
        + f" in {watch.seconds:.1f} s, wrote train/ and validation/"
    )
    return stores


def _batches(
    divided: Iterator[tuple[str, Document]],
) -> Iterator[list[tuple[str, Document]]]:
    batch, size = [], 0
    for part, document in divided:
        batch.append((part, document))
        size += len(document.text)
        if size >= _ENCODED_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _amount(census: Census) -> str:
    return f"{census.documents:,} documents, {census.bytes:,} bytes of text,"


def _outcome(report: CurationReport) -> str:
    parts = [
        f"{t.transform['type']}: {t.changed} changed, {t.dropped} dropped"
        for t in report.transforms
    ]
    return "; ".join(parts) or "no transforms"
