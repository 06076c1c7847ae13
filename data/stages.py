"""The stages from curated documents to token stores, each of which says in one line what it did."""

import hashlib
import time
from collections.abc import Callable, Iterable

from etils import epath

from data.curation.curation import CuratedCorpus
from data.document import Document
from data.group_by import GroupBy
from data.sources import CuratedDocuments
from data.split import Split
from data.tokenization.engine import Tokenized, clean, tokenize
from data.tokenization.shard_work import Job
from data.tokenizers import Tokenizer, TokenizerSpec

Log = Callable[[str], None]


def train_tokenizer(
    spec: TokenizerSpec,
    split: Split,
    documents: Iterable[Document],
    characters: int,
    to: epath.Path,
    log: Log,
    sample: float = 1.0,
) -> Tokenizer:
    """Makes a tokenizer, from the training part of the documents if it is trained at all, and saves it in `to`.

    Args:
      spec: what to make.
      split: what is held out, and not learned from.
      documents: the corpus.
      characters: the length of all its texts.
      to: where to save it.
      log: prints a line.
      sample: the share of training documents to learn from, chosen by a hash of their ids.

    Raises:
      ValueError: when the texts cannot support what the spec asks for.
    """
    began = time.perf_counter()
    divided = split.divide(documents, characters)
    tokenizer = spec.train(
        document.text
        for part, document in divided
        if spec.covers_validation or (part == "train" and _is_sampled(document, sample))
    )
    tokenizer.save(to)
    log(
        f"data: made {type(spec).__name__} tokenizer with {tokenizer.vocab_size:,} ids"
        f" in {time.perf_counter() - began:.1f} s, wrote {to.name}/"
    )
    return tokenizer


def write_stores(
    tokenizer: Tokenizer,
    split: Split,
    corpus: CuratedCorpus,
    into: epath.Path,
    log: Log,
    groups: GroupBy | None = None,
) -> Tokenized:
    """Tokenizes `corpus` into the stores `into/train` and `into/validation`, by the tokenizer in `into/tokenizer`.

    Raises:
      ValueError: when either part has no token, or documents cannot be grouped by `groups`.
    """
    job = Job(CuratedDocuments(corpus.directory), split, str(into), tokenizer.hash, groups=groups)
    tokenized = tokenize(job, tokenizer, 1, log)
    clean(job)
    return tokenized


def _is_sampled(document: Document, share: float) -> bool:
    # Another hash than the split's, which has chosen among the same ids.
    digest = hashlib.blake2b(document.id.encode(), digest_size=8, person=b"sample").digest()
    return share >= 1 or int.from_bytes(digest, "big") < share * 2**64
