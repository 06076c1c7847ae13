"""From curated documents to a directory that a model can be trained on: what `python -m data.tokenize` does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from etils import epath

from data import atomic
from data.card import make_card, write_card
from data.curation import BadInput, CurationReport, Refuse
from data.curation.curation import CuratedCorpus
from data.document import Document
from data.group_by import GroupBy, described
from data.identity import differences
from data.lock import locked
from data.prepared import CARD, CARD_PAGE, FORMAT, MARKER, Prepared, read_marker
from data.sources import CuratedDocuments, Source
from data.split import HashSplit, Split
from data.stages import Log, train_tokenizer
from data.tokenization.engine import Tokenized, characters_before, clean, tokenize
from data.tokenization.report import REPORT, section
from data.tokenization.shard_work import PARTS, WORK, Bad, Job, readable
from data.tokenizers import SentencePiece, Tokenizer, TokenizerSpec, load_tokenizer

_IDENTITY = "identity.json"
_OURS = frozenset({WORK, "tokenizer", *PARTS, REPORT, CARD, CARD_PAGE, "data_card.md", ".lock"})


@dataclass(frozen=True)
class Tokenization:
    """What to tokenize, and how.

    Attributes:
      documents: the texts.
      tokenizer: what turns them into ids.
      split: what is held out for validation.
      bad_input: what to do with records that cannot be read.
      sample: the share of the training documents that a tokenizer is trained on.
      groups: what documents are grouped by; None if by nothing.

    Raises:
      ValueError: when `sample` is not above 0 and at most 1.
    """

    documents: Source
    tokenizer: TokenizerSpec = SentencePiece(32_000)
    split: Split = HashSplit(0.01)
    bad_input: BadInput = Refuse()
    sample: float = 1.0
    groups: GroupBy | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sample <= 1:
            raise ValueError(f"the sample to train on is {self.sample}, but must be above 0 and at most 1")

    def identity(self) -> dict[str, Any]:
        """What the corpus is made by, as JSON values.

        Raises:
          FileNotFoundError, ValueError: when the documents or a tokenizer's files are missing or not as described.
        """
        recipe = {**described(self), "tokenizer": self.tokenizer.identity()}
        return {"recipe": recipe, "source": self.documents.fingerprint(), "earlier": []}

    def run(self, directory: epath.PathLike, workers: int, log: Log) -> Prepared:
        """Makes the corpus in `directory`, goes on where an earlier call was stopped, or opens it if it is there.

        Args:
          directory: where; it is no corpus until all of it is written.
          workers: how many processes.
          log: prints a line.

        Raises:
          FileNotFoundError: when there are no documents.
          ValueError: when the directory is of another corpus or holds other files, when a record cannot be read and
            may not be skipped, or when a part is left without tokens.
          RuntimeError: when another process is at work in the directory, or a worker dies.
        """
        directory = epath.Path(directory)
        own = self.identity()
        if (directory / MARKER).exists():
            _check_same(directory, read_marker(directory), own, "made from")
            prepared = Prepared.open(directory)
            log(f"data: found {directory} ready, with {len(prepared.train):,} tokens to train on")
            return prepared
        _claim(directory)
        with locked(directory, "choose another directory"):
            _begin(directory, own)
            job = Job(self.documents, self.split, str(directory), "", self.bad_input)
            tokenizer = self._tokenizer(job, workers, log)
            job = Job(
                self.documents, self.split, str(directory), tokenizer.hash, self.bad_input, groups=self.groups
            )
            tokenized = tokenize(job, tokenizer, workers, log)
            card = make_card(own, *self._account(tokenized), tokenizer, tokenized.stores)
            write_card(directory, card | {"sections": [section(tokenized.report)]})
            atomic.write_text(directory / MARKER, json.dumps({"format": FORMAT} | own, indent=1) + "\n")
            clean(job)
        (directory / ".lock").unlink(missing_ok=True)
        log(f"data: ready in {directory}, described in {directory / CARD_PAGE}")
        return Prepared.open(directory)

    def _tokenizer(self, job: Job, workers: int, log: Log) -> Tokenizer:
        place = epath.Path(job.directory) / "tokenizer"
        if (place / "tokenizer.json").exists():
            return load_tokenizer(place)
        characters = characters_before(job, self.documents.shards(), workers, log)[-1]
        return train_tokenizer(
            self.tokenizer, self.split, self._readable(), characters, place, log, sample=self.sample
        )

    def _readable(self) -> Iterator[Document]:
        for shard in self.documents.shards():
            yield from readable(self.documents.read(shard), self.bad_input, Bad())

    def _account(self, tokenized: Tokenized) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The account of curation and its files, if there are any; else of what was read."""
        if isinstance(self.documents, CuratedDocuments) and self.documents.is_corpus():
            corpus = CuratedCorpus.open(self.documents.path)
            return corpus.report, corpus.marker["shards"]
        report = CurationReport([], collected=tokenized.census, kept=tokenized.census, bad=tokenized.bad.problems)
        if tokenized.bad.first:
            report.bad_samples.add("", next(iter(tokenized.bad.problems)), tokenized.bad.first)
        return report.to_json(), []


def _claim(directory: epath.Path) -> None:
    """Raises ValueError if the directory holds what is none of ours."""
    found = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    strange = [name for name in found if name not in _OURS]
    if strange or (found and WORK not in found and found != [".lock"]):
        raise ValueError(f"{directory} holds {(strange or found)[0]} but no tokenized corpus; choose a new directory")


def _begin(directory: epath.Path, own: dict[str, Any]) -> None:
    path = directory / WORK / _IDENTITY
    if path.exists():
        try:
            stored = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is unreadable: {error}; remove {directory} and begin again") from None
        _check_same(directory, stored, own, "begun from")
        return
    atomic.write_text(path, json.dumps(own, indent=1) + "\n")


def _check_same(directory: epath.Path, stored: dict[str, Any], own: dict[str, Any], how: str) -> None:
    if differing := differences(stored["recipe"], own["recipe"]):
        raise ValueError(
            f"{directory} was {how} another recipe: {'; '.join(differing)}; choose another directory or remove that one"
        )
    if stored["source"] != own["source"]:
        raise ValueError(
            f"{directory} was {how} other text: the documents have changed; choose another directory or remove that one"
        )
