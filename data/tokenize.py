"""Tokenizes documents: `python -m data.tokenize --documents=DIR_OR_FILES --to=DIR --tokenizer='SentencePiece(32000)'`.

--to becomes a prepared corpus that `python -m train` trains on (--set 'data=ExistingStore("DIR")'), with a report of
how the tokenizer cuts it. The same command again goes on where it was stopped; one that differs is refused.
"""

import dataclasses
import functools
import os
import re
from typing import TYPE_CHECKING

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from data.tokenization.corpus import Tokenization

_DOCUMENTS = flags.DEFINE_string(
    "documents", None,
    "a curated corpus, JSON-lines files (a file, directory or glob), or a source such as TextFiles(\"notes/\")",
)  # fmt: skip
_TO = flags.DEFINE_string("to", None, "directory to write to; local or gs://", required=True)
_TOKENIZER = flags.DEFINE_string(
    "tokenizer", "SentencePiece(vocab=32000)",
    "what to train, or Bytes(), or the path of a tokenizer.json or of a directory that holds a tokenizer",
)  # fmt: skip
_SPLIT = flags.DEFINE_string("split", "HashSplit(0.01)", "what is held out for validation, or TailSplit(0.1)")
_BAD_INPUT = flags.DEFINE_string("bad_input", "Refuse()", "what to do with a record that cannot be read, or Skip(0.01)")
_SAMPLE = flags.DEFINE_float(
    "sample", 1.0, "share of the documents to train the tokenizer on", lower_bound=0.0, upper_bound=1.0
)
_GROUPS = flags.DEFINE_string(
    "groups", None, 'what documents are grouped by: BySource(), ByLanguage(), ByLicence() or ByMeta("KEY")'
)
_WORKERS = flags.DEFINE_integer("workers", 0, "processes; 0 means one for each core", lower_bound=0)
_VERIFY = flags.DEFINE_bool("verify", False, "hash every file of the finished corpus in --to again, and leave")
_IMPORT = flags.DEFINE_multi_string("import", [], "Python file with types of your own, to use in the other flags")

_CALL = re.compile(r"\s*[A-Za-z_]\w*\(.*\)\s*", re.DOTALL)


def main(argv: list[str]) -> None:
    """Reads the flags and does what they ask for."""
    if _VERIFY.value:
        _verify(_TO.value)
        return
    if not _DOCUMENTS.value:
        raise console.UsageError("--documents is required: the texts to tokenize")

    from data.user_code import load_file

    for path in _IMPORT.value:
        load_file(path)
    tokenization = _tokenization()
    with console.naming(_TO.value):
        workers = _WORKERS.value or len(os.sched_getaffinity(0))
        tokenization.run(_TO.value, workers, functools.partial(print, flush=True))


def _tokenization() -> "Tokenization":
    """What the flags say. A value that is written as a call is a spec; another is a path."""
    from data.sources import CuratedDocuments
    from data.spec import override
    from data.tokenization.corpus import Tokenization
    from data.tokenizers import tokenizer_at
    from data.user_code import usage

    given = {"documents": _DOCUMENTS.value, "tokenizer": _TOKENIZER.value}
    given |= {"split": _SPLIT.value, "bad_input": _BAD_INPUT.value}
    given |= {"groups": _GROUPS.value} if _GROUPS.value else {}
    paths = {name for name in ("documents", "tokenizer") if not _CALL.fullmatch(given[name])}
    with usage("--sample"):
        spec = Tokenization(CuratedDocuments(given["documents"]), sample=_SAMPLE.value)
    for name in (name for name in given if name not in paths):
        with usage(f"--{name}"):
            spec = override(spec, [f"{name}={given[name]}"])
    return dataclasses.replace(spec, tokenizer=tokenizer_at(given["tokenizer"])) if "tokenizer" in paths else spec


def _verify(path: str) -> None:
    from data.prepared import Prepared

    prepared = Prepared.open(path)
    for store in (prepared.train, prepared.validation):
        store.verify()
        print(f"data: {store.directory} is as it was written: {len(store):,} tokens, sha256 {store.fingerprint()[:16]}")


if __name__ == "__main__":
    console.run(main, interrupted="the same command goes on from here")
