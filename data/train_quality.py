"""Trains a quality classifier: `python -m data.train_quality --positive=PATH --negative=PATH --to=FILE.npz`.

A path is a curated corpus, JSON-lines or Parquet files, or text files of a document each; several may be given. One
document in ten is held out, by a hash of its text, to tell how well the two kinds are told apart.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from data.document import Document

_HELD_OUT = 10
_JSON = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst")


def documents(path: str) -> Iterator["Document"]:
    """The documents at a path, whatever they are stored as.

    Raises:
      FileNotFoundError: when there is nothing.
      ValueError: when a record cannot be read.
    """
    from data.sources import CuratedDocuments, Parquet, TextFiles, files

    if CuratedDocuments(path).is_corpus():
        return CuratedDocuments(path).documents()
    names = list(files.find_files(path))
    for source, endings in ((CuratedDocuments, _JSON), (Parquet, (".parquet",))):
        if all(name.endswith(endings) for name in names):
            return source(path).documents()
    return TextFiles(path).documents()


def divided(paths: Sequence[str], limit: int) -> tuple[list[str], list[str]]:
    """Texts to train on and texts held out, from the first `limit` documents of all paths that are not empty."""
    found = (document.text for path in paths for document in documents(path) if document.text.strip())
    parts: tuple[list[str], list[str]] = ([], [])
    for text in itertools.islice(found, limit):
        parts[hashlib.blake2b(text.encode(), digest_size=8).digest()[0] % _HELD_OUT == 0].append(text)
    return parts


def main(argv: list[str]) -> None:
    """Trains, judges and writes the classifier."""
    from data.curation.quality.linear_model import Features, LinearModel, auc

    given = flags.FLAGS
    try:
        features = Features(given.buckets, given.ngram)
        sets = {name: divided(given[name].value, given.limit) for name in ("positive", "negative")}
    except FileNotFoundError as error:
        raise console.UsageError(str(error)) from error
    for name, (training, held_out) in sets.items():
        if not training or not held_out:
            raise console.UsageError(
                f"--{name} gives {len(training)} documents to train on and {len(held_out)} to hold out; give more text"
            )
    (positive, positive_held), (negative, negative_held) = sets["positive"], sets["negative"]
    model = LinearModel.train(positive, negative, features, given.penalty)
    with console.naming(given.to):
        model.save(given.to)
        digest = _sha256(given.to)
    print(f"trained on {len(positive):,} positive and {len(negative):,} negative documents")
    held = auc(model.scores(positive_held), model.scores(negative_held))
    print(f"held out: {len(positive_held):,} and {len(negative_held):,} documents, area under the ROC curve {held:.4f}")
    print(f'wrote {given.to}; use it as QualityScore(PinnedFile("{given.to}", "{digest}"))')


def _sha256(path: str) -> str:
    from etils import epath

    return hashlib.sha256(epath.Path(path).read_bytes()).hexdigest()


if __name__ == "__main__":
    flags.DEFINE_multi_string("positive", None, "documents of the kind to keep; may be repeated", required=True)
    flags.DEFINE_multi_string("negative", None, "documents of any kind; may be repeated", required=True)
    flags.DEFINE_string("to", None, "file to write, .npz; local or gs://", required=True)
    flags.DEFINE_integer("buckets", 1 << 20, "numbers in the vector of a text", lower_bound=1)
    flags.DEFINE_integer("ngram", 2, "words of the longest n-gram", lower_bound=1)
    flags.DEFINE_float("penalty", 0.1, "weight of the squared weights; more makes scores less sure", lower_bound=1e-9)
    flags.DEFINE_integer("limit", 100_000, "documents of each kind to read at most", lower_bound=1)
    console.run(main)
