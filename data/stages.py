"""The stages from a source to token stores, each of which says in one line what it did."""

import time
from collections.abc import Callable, Iterator

from etils import epath

from data.curation.curation import CuratedCorpus
from data.document import Document
from data.split import Split
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.tokenizers import Tokenizer, TokenizerSpec

# Characters encoded at a time: enough for the tokenizer's threads, little beside the text.
_ENCODED_AT_ONCE = 1 << 22

Log = Callable[[str], None]


class Stopwatch:
    """The seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.perf_counter() - self._start


def train_tokenizer(
    spec: TokenizerSpec,
    split: Split,
    corpus: CuratedCorpus,
    to: epath.Path,
    log: Log,
) -> Tokenizer:
    """Trains a tokenizer on the training part of `corpus` and saves it in `to`."""
    watch = Stopwatch()
    divided = split.divide(corpus.documents(), corpus.characters)
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
    corpus: CuratedCorpus,
    into: epath.Path,
    log: Log,
) -> dict[str, TokenStore]:
    """Tokenizes `corpus` into the stores `into/train` and `into/validation`.

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
    for batch in _batches(split.divide(corpus.documents(), corpus.characters)):
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
